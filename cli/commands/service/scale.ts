import { Command } from 'commander'
import type { Service } from '../../../proto/index.ts'
import type { Context } from '../../context.ts'
import { Failure, usage } from '../../failure.ts'
import { setReplicas } from '../../spec/apply.ts'
import { draftOf } from '../../spec/draft.ts'
import { addWaitOptions } from '../../spec/options.ts'
import { forEach, withFreshVersion } from '../each.ts'
import { getService } from '../get.ts'
import { waitForAll, type WaitFlags } from '../wait.ts'

/** `service scale web=5 api=3` (swarm row SF-56). */
export function command(context: Context): Command {
  return addWaitOptions(new Command('scale'))
    .description('Set how many tasks services have')
    .argument('<service=replicas...>')
    .action(async (pairs: readonly string[], flags: WaitFlags) => {
      const wanted = pairs.map(parsePair)
      const api = await context.connect()
      const scaled: Service[] = []
      let failure: unknown
      try {
        await forEach(
          context,
          wanted.map(pair => pair.name),
          async name => {
            const replicas = wanted.find(pair => pair.name === name)?.replicas ?? 0
            const service = await withFreshVersion(async () => {
              const before = await getService(api, name)
              if (before.spec === null) throw new Failure(`service ${name} has no spec`)
              const spec = draftOf(before.spec)
              setReplicas(spec, replicas)
              const answer = await api.control.updateService({
                id: before.id,
                specVersion: before.meta?.specVersion ?? 0,
                spec,
              })
              return answer.service ?? before
            })
            scaled.push(service)
            return `${name} scaled to ${replicas}`
          },
        )
      } catch (error) {
        failure = error
      }
      await waitForAll(context, api, scaled, flags, 'update')
      if (failure !== undefined) throw failure
    })
}

/** `web=5`. @throws Failure (usage) */
export function parsePair(text: string): { readonly name: string; readonly replicas: number } {
  const [name = '', count = '', ...more] = text.split('=')
  if (name === '' || more.length > 0 || !text.includes('=')) {
    throw usage(`invalid scale specifier "${text}"`, 'write service=replicas, e.g. web=5')
  }
  if (!/^\d{1,9}$/.test(count)) throw usage(`${name}: invalid replicas value "${count}"`)
  return { name, replicas: Number(count) }
}
