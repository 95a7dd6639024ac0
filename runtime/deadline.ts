import type { Clock } from './clock.ts'
import { StatusError } from './errors.ts'

/**
 * `work`, or a DeadlineExceeded that says `what` took longer than `timeoutMs`. The work itself goes on: give it a
 * signal when it can be stopped.
 */
export function withTimeout<T>(
  clock: Clock,
  timeoutMs: number,
  what: string,
  work: Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(timeoutMs, () =>
      reject(new StatusError('DeadlineExceeded', `${what} took longer than ${timeoutMs} ms`)),
    )
    work.then(resolve, reject).finally(cancel)
  })
}
