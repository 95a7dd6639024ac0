const UNITS = [
  { below: 60, seconds: 1, one: '1 second', many: 'seconds' },
  { below: 3_600, seconds: 60, one: 'About a minute', many: 'minutes' },
  { below: 48 * 3_600, seconds: 3_600, one: 'About an hour', many: 'hours' },
  { below: 14 * 86_400, seconds: 86_400, one: '1 day', many: 'days' },
  { below: 60 * 86_400, seconds: 7 * 86_400, one: '1 week', many: 'weeks' },
  { below: 730 * 86_400, seconds: 30 * 86_400, one: '1 month', many: 'months' },
] as const

/** A length of time in docker's words, `About a minute`, `3 hours` (go-units HumanDuration). */
export function humanDuration(ms: number): string {
  const seconds = Math.max(0, ms / 1000)
  if (seconds < 1) return 'Less than a second'
  for (const unit of UNITS) {
    const rounded =
      unit.seconds === 3_600 ? Math.floor(seconds / 3_600 + 0.5) * 3_600 : Math.floor(seconds)
    if (rounded >= unit.below) continue
    const count = Math.floor(rounded / unit.seconds)
    return count === 1 ? unit.one : `${count} ${unit.many}`
  }
  return `${Math.floor(seconds / (365 * 86_400))} years`
}

/** `2 minutes ago`; empty for a time nobody knows (0). */
export function ago(atMs: number, nowMs: number): string {
  return atMs === 0 ? '' : `${humanDuration(nowMs - atMs)} ago`
}

/** How long something took, short: `0.3 s`, `41 s`, `1 min 22 s`. */
export function tookText(ms: number): string {
  if (ms < 10_000) return `${(ms / 1000).toFixed(1)} s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  return seconds % 60 === 0 ? `${minutes} min` : `${minutes} min ${seconds % 60} s`
}

/** Local wall time as `06:31:02`. */
export function clockText(atMs: number): string {
  const at = new Date(atMs)
  return [at.getHours(), at.getMinutes(), at.getSeconds()]
    .map(part => String(part).padStart(2, '0'))
    .join(':')
}
