import {
  EndpointMode,
  RestartCondition,
  type ServiceSpecInit,
  type TaskSpecInit,
  UpdateFailureAction,
  UpdateOrder,
} from '../../proto/index.ts'
import { parseNanoCpus } from '../resource/parse.ts'
import { MONITOR_MS, RESTART_DELAY_MS } from '../spec/defaults.ts'
import type { Reader } from './reader.ts'

// `deploy:` (rows ST-20 … ST-27).

const KEYS =
  'mode replicas endpoint_mode labels placement resources restart_policy update_config rollback_config'.split(
    ' ',
  )
const CONDITIONS = {
  any: RestartCondition.ANY,
  'on-failure': RestartCondition.ON_FAILURE,
  none: RestartCondition.NONE,
}
const ACTIONS = {
  pause: UpdateFailureAction.FAILURE_PAUSE,
  continue: UpdateFailureAction.FAILURE_CONTINUE,
  rollback: UpdateFailureAction.FAILURE_ROLLBACK,
}
const ORDERS = { 'stop-first': UpdateOrder.STOP_FIRST, 'start-first': UpdateOrder.START_FIRST }
const MODES = {
  replicated: 'replicated',
  global: 'global',
  'replicated-job': 'replicatedJob',
  'global-job': 'globalJob',
} as const

export interface Deploy {
  /** Mode, policies and endpoint mode of the service. */
  readonly spec: ServiceSpecInit
  readonly labels: Readonly<Record<string, string>>
  readonly task: TaskSpecInit
  readonly pidsLimit: number | undefined
  readonly deviceRequests: NonNullable<NonNullable<TaskSpecInit['container']>['deviceRequests']>
}

/** @param service for the older `restart:` and `scale:` beside `deploy:` */
export function readDeploy(deploy: Reader | undefined, service: Reader): Deploy {
  deploy?.only(KEYS)
  const resources = deploy?.get('resources')?.only(['limits', 'reservations'])
  const limits = resources?.get('limits')?.only(['cpus', 'memory', 'pids'])
  const reservations = resources
    ?.get('reservations')
    ?.only(['cpus', 'memory', 'generic_resources', 'devices'])
  const endpoint = deploy
    ?.get('endpoint_mode')
    ?.choice({ vip: EndpointMode.VIP, dnsrr: EndpointMode.DNSRR })
  return {
    spec: {
      ...readMode(deploy, service),
      update: readUpdate(deploy?.get('update_config')),
      rollback: readUpdate(deploy?.get('rollback_config')),
      endpoint: { mode: endpoint ?? EndpointMode.VIP },
    },
    labels: deploy?.get('labels')?.texts() ?? {},
    task: {
      ...(resources === undefined
        ? {}
        : { resources: { limits: readAmounts(limits), reservations: readAmounts(reservations) } }),
      restart: readRestart(deploy?.get('restart_policy'), service),
      ...readPlacement(deploy?.get('placement')),
    },
    pidsLimit: limits?.get('pids')?.integer(-1),
    deviceRequests: (reservations?.get('devices')?.items() ?? []).map(readDevice),
  }
}

function readMode(deploy: Reader | undefined, service: Reader): ServiceSpecInit {
  const mode = deploy?.get('mode')?.choice(MODES) ?? 'replicated'
  const [replicas, scale] = [deploy?.get('replicas'), service.get('scale')]
  if (replicas !== undefined && scale !== undefined)
    scale.fail('give deploy.replicas or scale, not both')
  const count = replicas ?? scale
  if (mode === 'global' || mode === 'globalJob') {
    if (count !== undefined)
      count.fail('replicas can only be used with replicated or replicated-job mode')
    return mode === 'global' ? { global: {} } : { globalJob: {} }
  }
  const wanted = count?.integer(0, 2 ** 32 - 1) ?? 1
  return mode === 'replicated'
    ? { replicated: { replicas: wanted } }
    : { replicatedJob: { maxConcurrent: wanted, totalCompletions: wanted } }
}

function readUpdate(reader: Reader | undefined): ServiceSpecInit['update'] {
  if (reader === undefined) return undefined
  reader.only(['parallelism', 'delay', 'failure_action', 'monitor', 'max_failure_ratio', 'order'])
  return {
    parallelism: reader.get('parallelism')?.integer(0, 2 ** 32 - 1) ?? 1,
    delayMs: reader.get('delay')?.durationMs() ?? 0,
    failureAction:
      reader.get('failure_action')?.choice(ACTIONS) ?? UpdateFailureAction.FAILURE_PAUSE,
    monitorMs: reader.get('monitor')?.durationMs() ?? MONITOR_MS,
    maxFailureRatio: reader.get('max_failure_ratio')?.number() ?? 0,
    order: reader.get('order')?.choice(ORDERS) ?? UpdateOrder.STOP_FIRST,
  }
}

/** Swarm reads `restart: "no"` as "any" (row ST-26); here it is what it says. */
function readRestart(policy: Reader | undefined, service: Reader): TaskSpecInit['restart'] {
  const legacy = service.get('restart')
  if (policy !== undefined) {
    legacy?.warn('restart is ignored beside deploy.restart_policy')
    policy.only(['condition', 'delay', 'max_attempts', 'window'])
    return {
      condition: policy.get('condition')?.choice(CONDITIONS) ?? RestartCondition.ANY,
      delayMs: policy.get('delay')?.durationMs() ?? RESTART_DELAY_MS,
      maxAttempts: policy.get('max_attempts')?.integer(0, 2 ** 32 - 1) ?? 0,
      windowMs: policy.get('window')?.durationMs() ?? 0,
    }
  }
  if (legacy === undefined) return undefined
  const [, word = '', attempts = '0'] = /^([a-z-]+)(?::(\d+))?$/.exec(legacy.text()) ?? []
  if (word === 'always' || word === 'unless-stopped') return { condition: RestartCondition.ANY }
  if (word === 'on-failure')
    return { condition: RestartCondition.ON_FAILURE, maxAttempts: Number(attempts) }
  if (word === 'no' || word === 'false') return { condition: RestartCondition.NONE }
  return legacy.fail(`must be no, always, unless-stopped or on-failure[:N], is "${legacy.text()}"`)
}

function readPlacement(reader: Reader | undefined): TaskSpecInit {
  if (reader === undefined) return {}
  reader.only(['constraints', 'preferences', 'max_replicas_per_node'])
  return {
    placement: {
      constraints:
        reader
          .get('constraints')
          ?.items()
          .map(item => item.text()) ?? [],
      preferences:
        reader
          .get('preferences')
          ?.items()
          .map(item => ({
            spread:
              item.only(['spread']).get('spread')?.text() ?? item.fail('spread must be given'),
          })) ?? [],
      maxReplicasPerNode: reader.get('max_replicas_per_node')?.integer(0, 2 ** 32 - 1) ?? 0,
    },
  }
}

function readAmounts(reader: Reader | undefined): NonNullable<TaskSpecInit['resources']>['limits'] {
  if (reader === undefined) return undefined
  return {
    nanoCpus: reader.get('cpus')?.parsed(parseNanoCpus) ?? 0,
    memoryBytes: reader.get('memory')?.bytes() ?? 0,
    generic: (reader.get('generic_resources')?.items() ?? []).map(item => {
      const spec = item.only(['discrete_resource_spec']).get('discrete_resource_spec')
      spec?.only(['kind', 'value'])
      return {
        kind: spec?.get('kind')?.text() ?? item.fail('discrete_resource_spec.kind must be given'),
        count:
          spec?.get('value')?.integer(1) ?? item.fail('discrete_resource_spec.value must be given'),
      }
    }),
  }
}

function readDevice(reader: Reader): Deploy['deviceRequests'][number] {
  reader.only(['driver', 'count', 'device_ids', 'capabilities', 'options'])
  const count = reader.get('count')
  const ids =
    reader
      .get('device_ids')
      ?.items()
      .map(item => item.text()) ?? []
  if (count !== undefined && ids.length > 0) reader.fail('give count or device_ids, not both')
  return {
    driver: reader.get('driver')?.text() ?? '',
    count:
      count === undefined
        ? ids.length > 0
          ? 0
          : -1
        : count.text() === 'all'
          ? -1
          : count.integer(1),
    deviceIds: ids,
    capabilities:
      reader
        .get('capabilities')
        ?.items()
        .map(item => item.text()) ?? [],
    options: reader.get('options')?.texts() ?? {},
  }
}
