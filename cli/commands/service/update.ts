import { Command } from 'commander'
import type { Service } from '../../../proto/index.ts'
import type { Api } from '../../connection.ts'
import type { Context } from '../../context.ts'
import { Failure, usage } from '../../failure.ts'
import { neededReferences } from '../../spec/create.ts'
import { Flags } from '../../spec/flags.ts'
import { addServiceOptions, addWaitOptions } from '../../spec/options.ts'
import { fetchReferences } from '../../spec/references.ts'
import { updateSpec } from '../../spec/update.ts'
import { withFreshVersion } from '../each.ts'
import { readEnv } from '../env.ts'
import { getService } from '../get.ts'
import { waitForAll, type WaitFlags } from '../wait.ts'

/** Flags that say how to wait, not what to change. */
const NOT_CHANGES = ['detach', 'quiet', 'timeout', 'rollback', 'resolveImage', 'withRegistryAuth']

/** `service update` (swarm rows SF-09 to SF-55). */
export function command(context: Context): Command {
  return addServiceOptions(addWaitOptions(new Command('update')), 'update')
    .description('Change a service; its tasks are replaced step by step')
    .argument('<service>', 'name or id')
    .option('--args <args>', 'arguments of the command')
    .option('--force', 'replace the tasks even if nothing changed')
    .option('--image <image>', 'new image')
    .option('--rollback', 'go back to the spec before the last update')
    .action(async (reference: string, values: WaitFlags) => {
      const flags = new Flags({ ...values })
      const changes = Object.entries(values).filter(
        ([name, value]) =>
          !NOT_CHANGES.includes(name) && !(name === 'healthcheck' && value === true),
      )
      const isRollback = flags.bool('rollback') === true
      if (isRollback && changes.length > 0) {
        throw usage('--rollback cannot be combined with other changes')
      }
      if (!isRollback && changes.length === 0) {
        throw usage('nothing to change', 'skein service update --help lists what can be changed')
      }
      const api = await context.connect()
      const service = isRollback
        ? await rollBack(api, reference)
        : await update(context, api, reference, flags)
      context.stdout.write(`${reference}\n`)
      await waitForAll(context, api, [service], values, isRollback ? 'rollback' : 'update')
    })
}

async function update(
  context: Context,
  api: Api,
  reference: string,
  flags: Flags,
): Promise<Service> {
  const env = await readEnv(context, flags)
  const references = await fetchReferences(api, neededReferences(flags))
  return withFreshVersion(async () => {
    const service = await getService(api, reference)
    const answer = await api.control.updateService({
      id: service.id,
      specVersion: service.meta?.specVersion ?? 0,
      spec: updateSpec(service, flags, references, env),
      rollback: false,
    })
    for (const warning of answer.warnings) context.stderr.write(`Warning: ${warning}\n`)
    return answer.service ?? service
  })
}

/** Asks for the spec before the last update (swarm row SV-20). @throws Failure when there is none */
export function rollBack(api: Api, reference: string): Promise<Service> {
  return withFreshVersion(async () => {
    const service = await getService(api, reference)
    if (service.previousSpec === null) {
      throw new Failure(`service ${reference} does not have a previous spec`)
    }
    const answer = await api.control.updateService({
      id: service.id,
      specVersion: service.meta?.specVersion ?? 0,
      rollback: true,
    })
    return answer.service ?? service
  })
}
