// Go's view of JavaScript values: what is true, how a value prints, what it is called in errors. Plain objects and Maps
// are Go maps (printed by sorted key), null is nil, undefined is the value of a missing key.

export type TemplateFunction = (...args: readonly unknown[]) => unknown

/** The entries of a map, by sorted key; undefined for anything else. */
export function entriesOf(value: unknown): readonly (readonly [string, unknown])[] | undefined {
  if (value instanceof Map)
    return [...value].map(([key, item]) => [String(key), item] as const).sort(byKey)
  return isObject(value) ? Object.entries(value).sort(byKey) : undefined
}

/** The entry of a map. Only own properties: a key must never reach what JavaScript adds. */
export function lookUp(value: unknown, key: string): { found: boolean; value: unknown } {
  if (value instanceof Map) return { found: value.has(key), value: value.get(key) }
  if (isObject(value) && Object.hasOwn(value, key)) return { found: true, value: value[key] }
  return { found: false, value: undefined }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof Date) &&
    !(value instanceof Uint8Array)
  )
}

/** What if, and, or, not and with go by: everything but the zero of its kind and the empty. */
export function isTrue(value: unknown): boolean {
  if (Array.isArray(value) || value instanceof Uint8Array) return value.length > 0
  if (value instanceof Map) return value.size > 0
  if (isObject(value)) return Object.keys(value).length > 0
  return Boolean(value)
}

/** How a value prints inside others and by print: Go's %v. */
export function format(value: unknown): string {
  if (value === null || value === undefined) return '<nil>'
  if (typeof value === 'string') return value
  if (typeof value === 'number') return formatNumber(value)
  if (value instanceof Date) return value.toISOString()
  if (value instanceof Uint8Array) return `[${[...value].join(' ')}]`
  if (Array.isArray(value)) return `[${value.map(format).join(' ')}]`
  const entries = entriesOf(value)
  if (entries === undefined) return String(value as boolean | bigint)
  return `map[${entries.map(([key, item]) => `${key}:${format(item)}`).join(' ')}]`
}

/** Go's %v of an int when it is whole, of a float64 otherwise: an exponent from 1e6 on. */
export function formatNumber(value: number): string {
  if (Number.isNaN(value)) return 'NaN'
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf'
  if (Number.isSafeInteger(value)) return String(value)
  const size = Math.abs(value)
  if (size >= 1e-4 && size < 1e6) return String(value)
  const [digits = '', exponent = '0'] = value.toExponential().split('e')
  const sign = exponent.startsWith('-') ? '-' : '+'
  return `${digits}e${sign}${exponent.replace(/^[+-]/, '').padStart(2, '0')}`
}

/** Go's name for the value's type, as errors and %T show it. */
export function typeName(value: unknown): string {
  if (value === null || value === undefined) return '<nil>'
  if (typeof value === 'boolean') return 'bool'
  if (typeof value === 'number') return Number.isInteger(value) ? 'int' : 'float64'
  if (Array.isArray(value)) return '[]interface {}'
  return typeof value === 'object' ? 'map[string]interface {}' : typeof value
}

function byKey(a: readonly [string, unknown], b: readonly [string, unknown]): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0
}
