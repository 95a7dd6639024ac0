/** What a number of callers, each with one call under way at a time, got done. */
export interface Driven {
  readonly operations: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
}

const WARM_UP_MS = 500

/** Has `callers` callers call again and again, first to warm up and then for `seconds` that count. */
export async function drive(
  callers: number,
  seconds: number,
  call: (caller: number) => Promise<unknown>,
  begun: () => void = () => undefined,
): Promise<Driven> {
  const warmMs = performance.now() + WARM_UP_MS
  const latencies: number[] = []
  let endMs = Number.POSITIVE_INFINITY
  let counting = false
  const loop = async (caller: number): Promise<void> => {
    for (;;) {
      const startMs = performance.now()
      if (startMs >= endMs) return
      await call(caller)
      if (counting) latencies.push(performance.now() - startMs)
      else if (startMs >= warmMs) {
        counting = true
        endMs = performance.now() + seconds * 1000
        begun()
      }
    }
  }
  const all = Array.from({ length: callers }, (_, caller) => loop(caller))
  await Promise.all(all)
  const sorted = Float64Array.from(latencies).sort()
  return {
    operations: sorted.length,
    perSecond: sorted.length / seconds,
    p50Ms: sorted[Math.floor(sorted.length * 0.5)] ?? Number.NaN,
    p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN,
  }
}
