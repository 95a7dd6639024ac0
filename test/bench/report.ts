/** Units, and the digits after the point that say something. */
const DIGITS = {
  s: 2,
  MB: 0,
  kB: 2,
  '/s': 0,
  ms: 2,
  µs: 1,
  entries: 1,
  syncs: 3,
  elections: 0,
} as const

/** What one benchmark measured: the same figure for Skein and for its peer, a value a round. */
export interface Row {
  readonly what: string
  readonly unit: keyof typeof DIGITS
  readonly skein: readonly number[]
  /** Empty when the peer has no such figure. */
  readonly peer: readonly number[]
  readonly target?: {
    readonly text: string
    readonly holds: (skein: number, peer: number) => boolean
  }
}

export type Benchmark = (options: {
  readonly rounds: number
  /** Length of the parts that only take time. */
  readonly seconds: number
  readonly log: (line: string) => void
}) => Promise<readonly Row[]>

/** The middle value; the mean of the middle two when there is an even number. NaN of nothing. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = Math.floor(sorted.length / 2)
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2
}

export function missedTargets(rows: readonly Row[]): readonly Row[] {
  return rows.filter(row => row.target && !row.target.holds(median(row.skein), median(row.peer)))
}

/** A table of medians with the spread of the rounds, the ratio Skein : peer, and the targets. */
export function report(rows: readonly Row[]): string {
  const cells = rows.map(row => [
    row.what,
    figure(row.skein, row.unit),
    figure(row.peer, row.unit),
    row.peer.length > 0 ? (median(row.skein) / median(row.peer)).toFixed(2) : '',
    row.target
      ? `${row.target.text} ${row.target.holds(median(row.skein), median(row.peer)) ? '✓' : '✗'}`
      : '',
  ])
  const table = [['', 'Skein', 'peer', 'ratio', 'target'], ...cells]
  const widths = [0, 1, 2, 3, 4].map(column =>
    Math.max(...table.map(row => (row[column] ?? '').length)),
  )
  return table
    .map(row =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('   ')
        .trimEnd(),
    )
    .join('\n')
}

function figure(values: readonly number[], unit: Row['unit']): string {
  if (values.length === 0) return '–'
  const digits = DIGITS[unit]
  const [low, high] = [Math.min(...values), Math.max(...values)]
  return `${median(values).toFixed(digits)}${unit === '/s' ? '' : ' '}${unit} (${low.toFixed(digits)}–${high.toFixed(digits)})`
}
