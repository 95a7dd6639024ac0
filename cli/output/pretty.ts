import { width } from './table.ts'

/** A label with its text, or a heading with lines of its own. */
export type Entry = readonly [label: string, value: string | number | readonly Entry[] | undefined]

/** Entries as `inspect --pretty` prints them: labels aligned, blocks indented by one blank, empty ones left out. */
export function pretty(entries: readonly Entry[], indent = ''): string {
  const shown = entries.filter(
    ([, value]) =>
      value !== undefined && value !== '' && !(Array.isArray(value) && value.length === 0),
  )
  const labels = shown.filter(([, value]) => !Array.isArray(value)).map(([label]) => width(label))
  const widest = Math.max(0, ...labels)
  return shown
    .map(([label, value]) =>
      Array.isArray(value)
        ? `${indent}${label}:\n${pretty(value as readonly Entry[], `${indent} `)}`
        : `${indent}${label}:${' '.repeat(widest - width(label) + 1)}${String(value)}\n`,
    )
    .join('')
}

/** Bytes in binary units, `512MiB`. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${Number(value.toPrecision(4))}${units[unit] ?? ''}`
}

export function mapEntries(map: Readonly<Record<string, string>> | undefined): readonly Entry[] {
  return Object.entries(map ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => [key, value] as const)
}
