/** Docker's layout: columns at least this wide, with GAP spaces behind each but the last. */
const MIN_WIDTH = 10
const GAP = 3

/**
 * Rows as docker prints them (Go's tabwriter with min width 10, padding 3): every column is as wide as its widest cell
 * plus three spaces, at least ten; the last one is not padded.
 *
 * @param rows the header first
 * @returns lines with a newline at the end; empty text for no rows
 */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [column, cell] of row.entries()) {
      if (column === row.length - 1) continue
      widths[column] = Math.max(widths[column] ?? MIN_WIDTH, width(cell) + GAP)
    }
  }
  return rows
    .map(row => {
      const cells = row.map((cell, column) =>
        column === row.length - 1 ? cell : cell + ' '.repeat((widths[column] ?? 0) - width(cell)),
      )
      return `${cells.join('')}\n`
    })
    .join('')
}

const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u
const COMBINING = /\p{Mn}|\p{Cf}/u
/** Colour codes, as picocolors writes them. */
const COLOR = new RegExp(`${String.fromCodePoint(27)}\\[[0-9;]*m`, 'g')

/** Columns a text takes in a terminal: wide characters two, combining marks none. Colour codes are not counted. */
export function width(text: string): number {
  if (/^[\x20-\x7e]*$/.test(text)) return text.length
  let columns = 0
  for (const character of text.replace(COLOR, '')) {
    columns += COMBINING.test(character) ? 0 : WIDE.test(character) ? 2 : 1
  }
  return columns
}

/** The text cut to `columns`, with `…` at its end when something is missing. */
export function ellipsis(text: string, columns: number): string {
  if (width(text) <= columns) return text
  let cut = ''
  for (const character of text) {
    if (width(cut) + width(character) > columns - 1) break
    cut += character
  }
  return `${cut}…`
}
