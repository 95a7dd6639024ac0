// Names to ids: what a spec refers to must exist when it is accepted.
import type {
  ConfigReference,
  ContainerSpec,
  Network,
  SecretReference,
  ServiceSpec,
  Task,
  TaskSpec,
} from '../../proto/index.ts'
import { StatusError, hasCode } from '../../runtime/errors.ts'
import { wantedReplicas } from '../../services/model/service.ts'
import { isRunnable } from '../../services/model/task.ts'
import { contains, parseCidr } from '../../services/net/ip.ts'
import { addressFor } from '../../services/template/expand.ts'
import type { ReadTx } from '../state/store/types.ts'

/**
 * The spec with networks, secrets and configs named by id.
 * @throws StatusError NotFound or InvalidArgument naming the service and what it refers to (Swarm rows SV-14, SV-15)
 */
export function resolveReferences(tx: ReadTx, spec: ServiceSpec): ServiceSpec {
  const { task } = spec
  if (!task) return spec
  const what = `service ${spec.annotations?.name ?? ''}`
  return { ...spec, task: resolveTaskReferences(tx, task, what, wantedReplicas(spec) ?? 1) }
}

/** The same for a task spec; `what` is the object messages name. */
export function resolveTaskReferences(
  tx: ReadTx,
  task: TaskSpec,
  what: string,
  slots = 1,
): TaskSpec {
  const { container } = task
  return {
    ...task,
    networks: resolveNetworks(tx, task, what, slots),
    container: container && resolvePayloads(tx, container, what),
  }
}

function resolveNetworks(
  tx: ReadTx,
  task: TaskSpec,
  what: string,
  slots: number,
): TaskSpec['networks'] {
  const networkMode = task.container?.networkMode ?? ''
  if (networkMode !== '' && task.networks.length > 0) {
    throw invalid(what, `network mode ${networkMode} goes with no other network`)
  }
  const seen = new Set<string>()
  return task.networks.map(attachment => {
    const network = named(what, () => tx.resolve('network', attachment.target))
    const name = nameOf(network)
    if (network.spec?.ingress) {
      throw invalid(what, `cannot be attached to the ingress network ${name} explicitly`)
    }
    if (seen.has(network.id)) throw invalid(what, `network ${name} is named twice`)
    seen.add(network.id)
    checkAddresses(network, attachment, slots, what)
    return { ...attachment, target: network.id }
  })
}

/** Every fixed address a slot will have must lie in the network, whether it is listed or made by a template. */
function checkAddresses(
  network: Network,
  attachment: TaskSpec['networks'][number],
  slots: number,
  what: string,
): void {
  if (network.subnet === '') return
  const subnet = parseCidr(network.subnet)
  for (let slot = 1; slot <= Math.max(slots, attachment.addresses.length); slot++) {
    const address = addressFor(attachment, slot)
    if (address === undefined || contains(subnet, address)) continue
    throw invalid(
      what,
      `address ${address} of slot ${slot} is not in the subnet of network ${nameOf(network)} (${network.subnet})`,
    )
  }
}

const nameOf = (network: Network): string => network.spec?.annotations?.name ?? network.id

function resolvePayloads(tx: ReadTx, container: ContainerSpec, what: string): ContainerSpec {
  return {
    ...container,
    secrets: container.secrets.map((reference): SecretReference => {
      const asked = reference.secretId || reference.secretName
      const secret = named(what, () => tx.resolve('secret', asked))
      const secretName = secret.spec?.annotations?.name ?? ''
      return { ...reference, secretId: secret.id, secretName }
    }),
    configs: container.configs.map((reference): ConfigReference => {
      const asked = reference.configId || reference.configName
      const config = named(what, () => tx.resolve('config', asked))
      const configName = config.spec?.annotations?.name ?? ''
      return { ...reference, configId: config.id, configName }
    }),
  }
}

/** A lookup whose error says who refers to what was not found. */
function named<T>(what: string, find: () => T): T {
  try {
    return find()
  } catch (thrown) {
    if (!hasCode(thrown, 'NotFound', 'InvalidArgument')) throw thrown
    throw new StatusError(thrown.code, `${what}: ${thrown.message}`, { cause: thrown })
  }
}

function invalid(what: string, problem: string): StatusError {
  return new StatusError('InvalidArgument', `${what}: ${problem}`)
}

/**
 * A task by id, id prefix, full name ("web.1.<id>"), or by its slot ("web.1": the one that is to run, else the newest).
 * @throws StatusError NotFound, or InvalidArgument when ambiguous
 */
export function resolveTask(tx: ReadTx, reference: string): Task {
  const slotted = /^(.+)\.([^.]+)$/.exec(reference)
  const [service] = slotted ? tx.byName('service', slotted[1] ?? '') : []
  if (!service || !slotted) return tx.resolve('task', reference)
  const place = slotted[2] ?? ''
  const slot = /^[1-9][0-9]{0,8}$/.test(place) ? Number(place) : 0
  const tasks =
    slot > 0
      ? tx.tasksOfSlot(service.id, slot)
      : tx.tasksOfService(service.id).filter(task => task.nodeId === place)
  const task = tasks.findLast(isRunnable) ?? tasks.at(-1)
  if (!task) throw new StatusError('NotFound', `task ${reference} not found`)
  return task
}
