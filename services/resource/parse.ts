import { StatusError } from '../../runtime/errors.ts'

// How people write amounts: Docker's own rules, so that what works on one engine works here.

const NANOS = 1_000_000_000
const UNITS = 'bkmgtp'
/** No amount is longer, and no reader of one may be made slow by one that is. */
const LENGTH_MAX = 64
const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  μs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
}

/** `0.5` CPUs → 500000000. @throws StatusError InvalidArgument with the bad text */
export function parseNanoCpus(text: string): number {
  const match = /^(\d*)(?:\.(\d*))?$/.exec(text.trim())
  const whole = match?.[1] ?? ''
  const fraction = (match?.[2] ?? '').replace(/0+$/, '')
  if (match === null || (whole === '' && (match[2] ?? '') === ''))
    throw new StatusError('InvalidArgument', `invalid number of CPUs "${text}": write 0.5 or 2`)
  if (fraction.length > 9)
    throw new StatusError(
      'InvalidArgument',
      `invalid number of CPUs "${text}": finer than a billionth`,
    )
  return safe(Number(whole) * NANOS + Number(fraction.padEnd(9, '0')), text)
}

/**
 * `512m`, `1g`, `64MiB`, `1.5 GB`, `1024` → bytes. Every unit is binary, as Docker's RAMInBytes has it.
 * @throws StatusError InvalidArgument with the bad text
 */
export function parseBytes(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp])?(i?b)?$/i.exec(text.trim())
  if (match === null || text.length > LENGTH_MAX)
    throw new StatusError('InvalidArgument', `invalid size "${text}": write 512m, 1g or 64MiB`)
  const power = UNITS.indexOf((match[2] ?? 'b').toLowerCase())
  return safe(Math.floor(Number(match[1]) * 1024 ** power), text)
}

/**
 * `1m30s`, `1.5h`, `500ms`, `0` → milliseconds; Go's time.ParseDuration with ns, us, ms, s, m, h.
 * Rounded to the millisecond. @throws StatusError InvalidArgument with the bad text, also for one too short to keep
 */
export function parseDurationMs(text: string): number {
  if (text.length > LENGTH_MAX)
    throw new StatusError('InvalidArgument', 'invalid duration: too long')
  const match = /^([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+|0)$/.exec(text.trim())
  if (match === null)
    throw new StatusError(
      'InvalidArgument',
      `invalid duration "${text}": write 10s, 1m30s or 500ms`,
    )
  let total = 0
  for (const [, amount = '', unit = ''] of (match[2] ?? '').matchAll(
    /(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)/g,
  ))
    total += Number(amount) * (DURATION_UNITS_MS[unit] ?? 0)
  const rounded = safe(Math.round(total), text)
  if (total > 0 && rounded === 0)
    throw new StatusError('InvalidArgument', `invalid duration "${text}": shorter than 1ms`)
  return match[1] === '-' ? 0 - rounded : rounded
}

/** 90000 → `1m30s`, 500 → `500ms`, 0 → `0s`: Go's notation. */
export function formatDuration(ms: number): string {
  if (ms < 0) return `-${formatDuration(-ms)}`
  if (ms === 0) return '0s'
  if (ms < 1000) return `${ms}ms`
  const hours = Math.floor(ms / 3_600_000)
  const minutes = Math.floor(ms / 60_000) % 60
  const seconds = (ms % 60_000) / 1000
  const head = hours > 0 ? `${hours}h${minutes}m` : minutes > 0 ? `${minutes}m` : ''
  return `${head}${seconds}s`
}

/** 500000000 → `0.5`. */
export function formatNanoCpus(nanoCpus: number): string {
  return String(nanoCpus / NANOS)
}

function safe(value: number, text: string): number {
  if (!Number.isSafeInteger(value))
    throw new StatusError('InvalidArgument', `"${text}" is too large`)
  return value
}
