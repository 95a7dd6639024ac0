const DECIMAL = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB', 'ZB', 'YB']
const BINARY = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB', 'ZiB', 'YiB']

/** Powers of 1000 with four digits, as Docker shows images: `1.234MB` (go-units HumanSize). */
export function humanSize(bytes: number): string {
  return scaled(bytes, 1000, DECIMAL)
}

/** Powers of 1024 with four digits, as Docker shows memory: `1.944GiB` (go-units BytesSize). */
export function bytesSize(bytes: number): string {
  return scaled(bytes, 1024, BINARY)
}

function scaled(bytes: number, base: number, units: readonly string[]): string {
  let value = bytes
  let unit = 0
  while (value >= base && unit < units.length - 1) {
    value /= base
    unit++
  }
  return `${fourDigits(value)}${units[unit] ?? ''}`
}

/** Go's %.4g. */
function fourDigits(value: number): string {
  if (value === 0) return '0'
  const rounded = Number(value.toPrecision(4))
  if (Math.abs(rounded) < 10_000) return String(rounded)
  return rounded.toExponential().replace(/e\+(\d)$/, 'e+0$1')
}
