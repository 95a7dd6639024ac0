import type { Service } from '../../proto/index.ts'
import { durationMs } from '../flags/values.ts'
import type { Api } from '../connection.ts'
import type { Context } from '../context.ts'
import { type Failure, failureText, toFailure } from '../failure.ts'
import { type Display, displayFor } from '../output/progress.ts'
import { type WaitOptions, waitForService } from '../wait/run.ts'

export interface WaitFlags {
  readonly detach?: boolean
  readonly quiet?: boolean
  readonly timeout?: string
}

/** How long --timeout says; undefined leaves it to the default. */
export function timeoutOf(flags: WaitFlags): number | undefined {
  return durationMs('--timeout', flags.timeout)
}

/**
 * Waits until all services are there, together, unless --detach.
 * @throws Failure, the first; those of other services were printed by then
 */
export async function waitForAll(
  context: Context,
  api: Api,
  services: readonly Service[],
  flags: WaitFlags,
  action: WaitOptions['action'],
  display: Display = displayFor(context, flags.quiet ?? false),
): Promise<void> {
  if (flags.detach === true || services.length === 0) return
  const options = { action, timeoutMs: timeoutOf(flags) }
  try {
    const results = await Promise.allSettled(
      services.map(service => waitForService(context, api, display, service, options)),
    )
    const failures: Failure[] = results.flatMap(result =>
      result.status === 'rejected' ? [toFailure(result.reason)] : [],
    )
    const last = failures.pop()
    if (last === undefined) return
    for (const failure of failures) context.stderr.write(failureText(failure))
    throw last
  } finally {
    display.end()
  }
}
