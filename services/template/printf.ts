import { format, typeName } from './value.ts'

// Go's fmt.Sprintf for the verbs templates use, with its way of showing mistakes: %!d(string=x), %!d(MISSING).

const VERB = /%([-+# 0]*)(\*|\d+)?(?:\.(\*|\d+)?)?([a-zA-Z%])?/g
const WIDTH_MAX = 10_000

interface Spec {
  readonly flags: string
  readonly width: number
  readonly precision: number | undefined
  readonly verb: string
}

export function sprintf(pattern: string, args: readonly unknown[]): string {
  let used = 0
  const take = (): number => {
    const value = args[used++]
    return typeof value === 'number' ? Math.min(Math.trunc(value), WIDTH_MAX) : 0
  }
  const text = pattern.replace(
    VERB,
    (all: string, flags: string, width?: string, precision?: string, verb?: string) => {
      if (verb === undefined) return '%!(NOVERB)'
      if (verb === '%') return '%'
      const wide = width === '*' ? take() : Math.min(Number(width ?? 0), WIDTH_MAX)
      const hasPrecision = all.includes('.')
      const exact = precision === '*' ? take() : Math.min(Number(precision ?? 0), 100)
      if (used >= args.length) return `%!${verb}(MISSING)`
      const spec: Spec = {
        flags: wide < 0 ? `${flags}-` : flags,
        width: Math.abs(wide),
        precision: hasPrecision ? exact : undefined,
        verb,
      }
      return verbOf(spec, args[used++])
    },
  )
  if (used >= args.length) return text
  const extra = args.slice(used).map(value => `${typeName(value)}=${format(value)}`)
  return `${text}%!(EXTRA ${extra.join(', ')})`
}

function verbOf(spec: Spec, value: unknown): string {
  const { verb, precision } = spec
  const bad = (): string => `%!${verb}(${typeName(value)}=${format(value)})`
  switch (verb) {
    case 'v':
      return pad(spec, format(value), typeof value === 'number')
    case 'T':
      return pad(spec, typeName(value), false)
    case 's':
      if (typeof value === 'number' || typeof value === 'boolean') return bad()
      return pad(spec, cut(format(value), precision), false)
    case 'q':
      if (typeof value === 'number') return pad(spec, `'${String.fromCodePoint(value)}'`, false)
      return typeof value === 'string'
        ? pad(spec, JSON.stringify(cut(value, precision)), false)
        : bad()
    case 't':
      return typeof value === 'boolean' ? pad(spec, String(value), false) : bad()
    case 'x':
    case 'X': {
      if (typeof value !== 'string') return integer(spec, value, 16) ?? bad()
      const hex = [...new TextEncoder().encode(value)]
        .map(byte => byte.toString(16).padStart(2, '0'))
        .join('')
      return pad(spec, verb === 'X' ? hex.toUpperCase() : hex, false)
    }
    case 'd':
      return integer(spec, value, 10) ?? bad()
    case 'b':
      return integer(spec, value, 2) ?? bad()
    case 'o':
      return integer(spec, value, 8) ?? bad()
    case 'c':
      return isPoint(value) ? pad(spec, String.fromCodePoint(value), false) : bad()
    case 'U':
      return isPoint(value)
        ? pad(spec, `U+${value.toString(16).toUpperCase().padStart(4, '0')}`, false)
        : bad()
    case 'f':
    case 'F':
    case 'e':
    case 'g':
      return typeof value === 'number' ? float(spec, value) : bad()
    default:
      return bad()
  }
}

function integer(spec: Spec, value: unknown, base: number): string | undefined {
  if (typeof value !== 'number' || !Number.isInteger(value)) return undefined
  const digits = Math.abs(value)
    .toString(base)
    .padStart(spec.precision ?? 1, '0')
  const prefix = spec.flags.includes('#') && base === 16 ? '0x' : ''
  const text = spec.verb === 'X' ? `${prefix}${digits}`.toUpperCase() : `${prefix}${digits}`
  return pad(spec, `${signOf(spec, value)}${text}`, true)
}

function float(spec: Spec, value: number): string {
  const size = Math.abs(value)
  const text =
    spec.verb === 'g'
      ? spec.precision === undefined
        ? format(size)
        : format(Number(size.toPrecision(Math.max(1, spec.precision))))
      : spec.verb === 'e'
        ? size.toExponential(spec.precision ?? 6).replace(/e([+-])(\d)$/, 'e$10$2')
        : size.toFixed(spec.precision ?? 6)
  return pad(spec, `${signOf(spec, value)}${text}`, true)
}

function signOf(spec: Spec, value: number): string {
  if (value < 0) return '-'
  return spec.flags.includes('+') ? '+' : spec.flags.includes(' ') ? ' ' : ''
}

function isPoint(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0x10ffff
}

function cut(text: string, precision: number | undefined): string {
  return precision === undefined ? text : Array.from(text).slice(0, precision).join('')
}

/** Widths count characters, not bytes; zeros go between sign and digits. */
function pad(spec: Spec, text: string, numeric: boolean): string {
  const missing = spec.width - Array.from(text).length
  if (missing <= 0) return text
  if (spec.flags.includes('-')) return text + ' '.repeat(missing)
  if (!spec.flags.includes('0')) return ' '.repeat(missing) + text
  const sign = numeric ? (/^[+-]/.exec(text)?.[0] ?? '') : ''
  return sign + '0'.repeat(missing) + text.slice(sign.length)
}
