import {
  type ConfigSpec,
  type ContainerWorkloadSpec,
  type NetworkSpec,
  type NodeSpec,
  PublishMode,
  type SecretSpec,
  type ServiceSpec,
  type UpdateConfig,
  UpdateFailureAction,
  UpdateOrder,
} from '../../proto/index.ts'
import { checkObjectName, checkPayloadName } from '../model/names.ts'
import { isJob, wantedReplicas } from '../model/service.ts'
import { contains, formatCidr, ipToNumber, parseCidr } from '../net/ip.ts'
import { checkTemplate } from '../template/expand.ts'
import { type Fail, checkAtLeastZero, checkKeys, failFor, within } from './check.ts'
import { validateEndpoint, validatePorts } from './validate-ports.ts'
import { validateTask } from './validate-task.ts'

// What can be refused without knowing the cluster. Every error is StatusError InvalidArgument and names object and field,
// `service web: task.container.mounts[1].target: must be an absolute path`. Give these a spec with its defaults.

const SECRET_MAX = 500 * 1024
const CONFIG_MAX = 1000 * 1024
const OVERLAY_DRIVERS = ['', 'overlay', 'bridge'] // a bridge asked of the cluster spans it

/** @throws StatusError InvalidArgument (rows SV-03, SV-11 … SV-16) */
export function validateService(spec: ServiceSpec): void {
  const name = spec.annotations?.name ?? ''
  checkObjectName(name, 'service')
  const fail = failFor(`service ${name}`)
  checkKeys(spec.annotations?.labels ?? {}, 'annotations.labels', fail)
  if (spec.task === null) return fail('task', 'must be given')
  validateTask(spec.task, 'task', wantedReplicas(spec) ?? 0, fail)
  validateMode(spec, fail)
  validateUpdate(spec.update, 'update', fail)
  validateUpdate(spec.rollback, 'rollback', fail)
  if (spec.rollback?.failureAction === UpdateFailureAction.FAILURE_ROLLBACK)
    fail('rollback.failureAction', 'a rollback is not rolled back; use pause or continue')
  if (spec.endpoint !== null) validateEndpoint(spec.endpoint, 'endpoint', fail)
  validateAgainstNetworks(spec, fail)
}

function validateMode(spec: ServiceSpec, fail: Fail): void {
  const global = wantedReplicas(spec) === undefined
  if (isJob(spec) && (spec.update !== null || spec.rollback !== null))
    fail('update', 'Jobs may not have an update config')
  if (global && (spec.task?.placement?.maxReplicasPerNode ?? 0) > 0)
    fail('task.placement.maxReplicasPerNode', 'is for replicated services')
  if (spec.mode === 'replicatedJob' && spec.replicatedJob.maxConcurrent < 1)
    fail('replicatedJob.maxConcurrent', 'must be at least 1')
}

function validateUpdate(config: UpdateConfig | null, path: string, fail: Fail): void {
  if (config === null) return
  checkAtLeastZero(config.delayMs, `${path}.delayMs`, fail)
  checkAtLeastZero(config.monitorMs, `${path}.monitorMs`, fail)
  if (!(config.maxFailureRatio >= 0 && config.maxFailureRatio <= 1))
    fail(`${path}.maxFailureRatio`, `must be between 0 and 1, is ${config.maxFailureRatio}`)
}

/** What ports and fixed addresses ask of the rest of the spec. */
function validateAgainstNetworks(spec: ServiceSpec, fail: Fail): void {
  const mode = spec.task?.container?.networkMode ?? ''
  if (mode !== '' && (spec.endpoint?.ports ?? []).some(port => port.mode !== PublishMode.HOST))
    fail('endpoint.ports', `ports cannot be published for tasks with network mode ${mode}`)
  const fixed = (spec.task?.networks ?? []).findIndex(({ addresses }) => addresses.length > 0)
  if (fixed === -1) return
  const path = `task.networks[${fixed}].addresses`
  if (wantedReplicas(spec) === undefined)
    fail(path, 'addresses go by slot, and a global service has none')
  for (const order of ['update', 'rollback'] as const)
    if (spec[order]?.order === UpdateOrder.START_FIRST)
      fail(
        `${order}.order`,
        'start-first needs two tasks a slot, and they cannot share a fixed address',
      )
}

/** @throws StatusError InvalidArgument */
export function validateContainerWorkload(spec: ContainerWorkloadSpec): void {
  const name = spec.annotations?.name ?? ''
  const fail = failFor(`container ${name}`)
  if (name.length > 255 || !/^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/.test(name))
    fail('annotations.name', `invalid name "${name}": only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`)
  if (spec.task === null) return fail('task', 'must be given')
  validateTask(spec.task, 'task', 1, fail)
  validatePorts(spec.ports, 'ports', fail)
  if (!/^(?:|no|always|unless-stopped|on-failure(?::\d+)?)$/.test(spec.restartPolicy))
    fail('restartPolicy', `unknown restart policy "${spec.restartPolicy}"`)
}

/** @throws StatusError InvalidArgument, also for what could never be allocated */
export function validateNetwork(spec: NetworkSpec): void {
  const name = spec.annotations?.name ?? ''
  checkObjectName(name, 'network')
  const fail = failFor(`network ${name}`)
  checkKeys(spec.annotations?.labels ?? {}, 'annotations.labels', fail)
  if (!OVERLAY_DRIVERS.includes(spec.driver))
    fail('driver', `"${spec.driver}" does not span hosts; use overlay`)
  if (spec.ingress && spec.attachable)
    fail('attachable', 'the ingress network cannot be attachable')
  if (spec.ingress && spec.internal) fail('internal', 'the ingress network cannot be internal')
  if (spec.ipv6) fail('ipv6', 'overlay networks carry IPv4 only')
  if (spec.mtu !== 0 && (spec.mtu < 576 || spec.mtu > 65_535))
    fail('mtu', `must be between 576 and 65535, is ${spec.mtu}`)
  if (spec.ipam.length > 1) fail('ipam', 'a network has one subnet')
  for (const [i, config] of spec.ipam.entries()) validateIpam(config, `ipam[${i}]`, fail)
}

function validateIpam(config: NetworkSpec['ipam'][number], path: string, fail: Fail): void {
  if (config.subnet === '') {
    if (config.gateway !== '' || config.range !== '') fail(`${path}.subnet`, 'must be given')
    return
  }
  within(fail, path, () => {
    const subnet = parseCidr(config.subnet)
    const whole = formatCidr(subnet)
    if (whole !== config.subnet)
      throw new Error(`invalid subnet ${config.subnet}: it should be ${whole}`)
    if (subnet.prefix < 8 || subnet.prefix > 29)
      throw new Error(`invalid subnet ${config.subnet}: the prefix must be between 8 and 29`)
    const held = Object.entries(config.reserved)
    if (config.gateway !== '') held.push(['gateway', config.gateway])
    for (const [what, text] of held) {
      const address = ipToNumber(text)
      if (address < subnet.first || address > subnet.last)
        throw new Error(`${what} ${text} is not a host address of ${whole}`)
    }
    if (config.range !== '') {
      const range = parseCidr(config.range)
      if (range.prefix < subnet.prefix || !contains(subnet, range.base))
        throw new Error(`range ${config.range} is not within ${whole}`)
    }
  })
}

/** @throws StatusError InvalidArgument; never says anything of the data */
export function validateSecret(spec: SecretSpec): void {
  validatePayload('secret', spec, SECRET_MAX, spec.driver !== null && spec.driver.name !== '')
}

/** @throws StatusError InvalidArgument */
export function validateConfig(spec: ConfigSpec): void {
  validatePayload('config', spec, CONFIG_MAX, false)
}

function validatePayload(
  kind: 'secret' | 'config',
  spec: SecretSpec | ConfigSpec,
  maxBytes: number,
  hasDriver: boolean,
): void {
  const name = spec.annotations?.name ?? ''
  checkPayloadName(name, kind)
  const fail = failFor(`${kind} ${name}`)
  checkKeys(spec.annotations?.labels ?? {}, 'annotations.labels', fail)
  const { length } = spec.data
  if (hasDriver && length > 0) fail('data', 'must be empty when a driver provides the value')
  if (!hasDriver && length === 0) fail('data', 'must not be empty')
  if (length > maxBytes) fail('data', `has ${length} bytes, at most ${maxBytes} are allowed`)
  const templating = spec.templating?.name ?? ''
  if (templating !== '' && templating !== 'golang')
    fail('templating.name', `unknown templating driver "${templating}"; use golang`)
  if (templating === 'golang' && kind === 'config')
    within(fail, 'data', () => checkTemplate(new TextDecoder().decode(spec.data), 'payload'))
}

/** @throws StatusError InvalidArgument */
export function validateNode(spec: NodeSpec, id = ''): void {
  const name = spec.annotations?.name ?? ''
  const fail = failFor(`node ${name === '' ? id : name}`)
  checkKeys(spec.annotations?.labels ?? {}, 'annotations.labels', fail)
  if (spec.role !== 0 && spec.role !== 1) fail('role', `unknown role ${String(spec.role)}`)
  if (![0, 1, 2].includes(spec.availability))
    fail('availability', `unknown availability ${String(spec.availability)}`)
}
