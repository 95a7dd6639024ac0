import { Command } from 'commander'
import { Backoff } from '../../../runtime/backoff.ts'
import { sleep } from '../../../runtime/clock.ts'
import { hasCode } from '../../../runtime/errors.ts'
import type { Api } from '../../connection.ts'
import type { Context } from '../../context.ts'
import { serviceName } from '../../model/lookup.ts'
import { natural } from '../../model/task-rows.ts'
import { displayFor } from '../../output/progress.ts'
import { addWaitOptions } from '../../spec/options.ts'
import { fetchState } from '../../stack/deploy.ts'
import { nameOf, stackOf } from '../../stack/plan.ts'
import { waitUntilGone } from '../../wait/gone.ts'
import { forEach } from '../each.ts'
import { timeoutOf, type WaitFlags } from '../wait.ts'

/** How long something that is still in use by stopping tasks is tried to be removed. */
const IN_USE_MS = 20_000

/** `stack rm` (swarm row ST-12). Waits until the tasks have stopped; volumes stay. */
export function command(context: Context): Command {
  return addWaitOptions(new Command('rm').alias('remove').alias('down'))
    .description('Remove stacks; their volumes stay')
    .argument('<stack...>')
    .action(async (names: readonly string[], flags: WaitFlags) => {
      const api = await context.connect()
      await forEach(context, names, name => removeStack(context, api, name, flags))
    })
}

async function removeStack(
  context: Context,
  api: Api,
  name: string,
  flags: WaitFlags,
): Promise<undefined> {
  const state = await fetchState(api)
  const mine = <T extends Parameters<typeof stackOf>[0]>(objects: readonly T[]): readonly T[] =>
    objects.filter(object => stackOf(object) === name)
  const services = mine(state.services).toSorted((a, b) => natural(nameOf(a), nameOf(b)))
  const secrets = mine(state.secrets)
  const configs = mine(state.configs)
  const networks = mine(state.networks)
  if (services.length + secrets.length + configs.length + networks.length === 0) {
    context.stderr.write(`Nothing found in stack: ${name}\n`)
    return undefined
  }
  const say = (kind: string, object: string): void => {
    context.stdout.write(`Removing ${kind} ${object}\n`)
  }
  for (const service of services) {
    say('service', nameOf(service))
    await api.control.removeService({ id: service.id })
  }
  for (const secret of secrets) {
    say('secret', nameOf(secret))
    await api.control.removeSecret({ id: secret.id })
  }
  for (const config of configs) {
    say('config', nameOf(config))
    await api.control.removeConfig({ id: config.id })
  }
  if (flags.detach !== true) {
    const display = displayFor(context, flags.quiet ?? false)
    try {
      await Promise.all(
        services.map(service => {
          const target = { id: service.id, name: serviceName(service) }
          return waitUntilGone(context, api, display, target, timeoutOf(flags))
        }),
      )
    } finally {
      display.end()
    }
  }
  for (const network of networks) {
    say('network', nameOf(network))
    await untilFree(context, () => api.control.removeNetwork({ id: network.id }))
  }
  return undefined
}

/** A network is in use until the last task has stopped. */
async function untilFree(context: Context, remove: () => Promise<unknown>): Promise<void> {
  const backoff = new Backoff(context.random, { firstMs: 200, maxMs: 2_000 })
  const untilMs = context.clock.monotonic() + IN_USE_MS
  for (;;) {
    try {
      await remove()
      return
    } catch (error) {
      if (hasCode(error, 'NotFound')) return
      const isInUse = hasCode(error, 'FailedPrecondition', 'Aborted', 'Unavailable')
      if (!isInUse || context.clock.monotonic() > untilMs) throw error
      await sleep(context.clock, backoff.nextMs(), context.interrupt)
    }
  }
}
