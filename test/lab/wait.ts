import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Asks `done` again and again until it answers true or `timeoutMs` have passed.
 *
 * @returns whether it came true in time
 */
export async function waitFor(
  done: () => boolean | Promise<boolean>,
  timeoutMs: number,
  intervalMs = 20,
): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    if (await done()) return true
    if (performance.now() >= deadline) return false
    await sleep(intervalMs)
  }
}
