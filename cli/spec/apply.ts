import {
  type RestartCondition,
  type UpdateFailureAction,
  type UpdateOrder,
  v1,
} from '../../proto/index.ts'
import { make } from '../../proto/codec.ts'
import { parseBytes, parseNanoCpus } from '../../services/resource/parse.ts'
import { defaultUpdate, taskWithDefaults } from '../../services/spec/defaults.ts'
import { usage } from '../failure.ts'
import { parseGeneric, parsePreference } from '../flags/container.ts'
import { choice, durationMs, pairs, ratio, read, wholeNumber } from '../flags/values.ts'
import { applyContainer } from './container.ts'
import type { Draft, SpecDraft } from './draft.ts'
import { draftOf } from './draft.ts'
import type { Flags } from './flags.ts'
import { applyMap, replaceBy, without } from './lists.ts'
import { applyEndpoint, applyNetworks } from './network.ts'
import type { References } from './references.ts'

export const RESTART_CONDITIONS = ['any', 'on-failure', 'none'] as const
export const FAILURE_ACTIONS = ['pause', 'continue', 'rollback'] as const
export const UPDATE_ORDERS = ['stop-first', 'start-first'] as const

type TaskDraft = NonNullable<SpecDraft['task']>

/**
 * Writes what the flags say into a spec, for create (a fresh spec) and update (the current one) alike. Flags that were
 * not given change nothing.
 *
 * @param env entries already read, see envEntries()
 * @throws Failure (usage) that names the flag
 */
export function applyFlags(
  spec: SpecDraft,
  flags: Flags,
  references: References,
  env: readonly string[],
): void {
  spec.task ??= draftOf(taskWithDefaults({}))
  spec.annotations ??= { name: '', labels: {} }
  applyMap(spec.annotations.labels, pairs('--label', flags.added('label')), flags.removed('label'))
  applyContainer(spec.task, flags, references, env)
  applyResources(spec.task, flags)
  applyRestart(spec.task, flags)
  applyPlacement(spec.task, flags)
  applyLogDriver(spec.task, flags)
  applyNetworks(spec.task, flags, references)
  applyEndpoint(spec, flags)
  applyReplicas(spec, flags)
  applyUpdate(spec, flags, 'update')
  applyUpdate(spec, flags, 'rollback')
}

function applyReplicas(spec: SpecDraft, flags: Flags): void {
  const text = flags.text('replicas')
  if (text === undefined) return
  setReplicas(spec, wholeNumber('--replicas', text))
}

/** Sets how many tasks a service has. @throws Failure when its mode has no such number */
export function setReplicas(spec: SpecDraft, replicas: number): void {
  if (spec.mode === 'replicated') spec.replicated.replicas = replicas
  else if (spec.mode === 'replicatedJob') spec.replicatedJob.totalCompletions = replicas
  else throw usage('replicas can only be used with replicated or replicated-job mode')
}

function applyResources(task: TaskDraft, flags: Flags): void {
  const cpu = (name: string, flag: string): number | undefined => {
    const text = flags.text(name)
    return text === undefined ? undefined : read(flag, text, parseNanoCpus)
  }
  const bytes = (name: string, flag: string): number | undefined => {
    const text = flags.text(name)
    return text === undefined ? undefined : read(flag, text, parseBytes)
  }
  const given = [
    'limitCpu',
    'limitMemory',
    'reserveCpu',
    'reserveMemory',
    'memorySwap',
    'memorySwappiness',
  ]
  const generic = flags.added('genericResource').map(text => parseGeneric(text))
  const genericGone = flags.removed('genericResource')
  if (!given.some(name => flags.has(name)) && generic.length === 0 && genericGone.length === 0) {
    return
  }
  const resources = (task.resources ??= draftOf(make(v1.ResourceRequirements, {})))
  const limits = (resources.limits ??= draftOf(make(v1.Resources, {})))
  const reservations = (resources.reservations ??= draftOf(make(v1.Resources, {})))
  limits.nanoCpus = cpu('limitCpu', '--limit-cpu') ?? limits.nanoCpus
  limits.memoryBytes = bytes('limitMemory', '--limit-memory') ?? limits.memoryBytes
  reservations.nanoCpus = cpu('reserveCpu', '--reserve-cpu') ?? reservations.nanoCpus
  reservations.memoryBytes = bytes('reserveMemory', '--reserve-memory') ?? reservations.memoryBytes
  reservations.generic = replaceBy(
    without('--generic-resource-rm', reservations.generic, genericGone, entry => entry.kind),
    draftOf(generic),
    entry => entry.kind,
  )
  const swap = flags.text('memorySwap')
  if (swap !== undefined) {
    if (limits.memoryBytes === 0) throw usage('--memory-swap needs --limit-memory')
    resources.swapBytes = swap === '-1' ? -1 : read('--memory-swap', swap, parseBytes)
  }
  const swappiness = flags.text('memorySwappiness')
  if (swappiness !== undefined) {
    resources.swappiness = wholeNumber('--memory-swappiness', swappiness, -1)
  }
}

function applyRestart(task: TaskDraft, flags: Flags): void {
  const restart = (task.restart ??= draftOf(taskWithDefaults({}).restart) ?? {
    condition: 0,
    delayMs: 0,
    maxAttempts: 0,
    windowMs: 0,
  })
  const condition = flags.text('restartCondition')
  if (condition !== undefined) {
    restart.condition = choice(
      '--restart-condition',
      condition,
      RESTART_CONDITIONS,
    ) as RestartCondition
  }
  restart.delayMs = durationMs('--restart-delay', flags.text('restartDelay')) ?? restart.delayMs
  restart.windowMs = durationMs('--restart-window', flags.text('restartWindow')) ?? restart.windowMs
  const attempts = flags.text('restartMaxAttempts')
  if (attempts !== undefined) restart.maxAttempts = wholeNumber('--restart-max-attempts', attempts)
}

function applyPlacement(task: TaskDraft, flags: Flags): void {
  const preferences = flags.added('placementPref').map(text => parsePreference(text))
  const goneSpread = flags
    .removed('placementPref')
    .map(text => parsePreference(text, '--placement-pref-rm').spread)
  const max = flags.text('replicasMaxPerNode')
  const gone = flags.removed('constraint')
  const added = flags.added('constraint')
  const isAsked = [preferences, goneSpread, gone, added].some(list => list.length > 0)
  if (!isAsked && max === undefined) return
  const placement = (task.placement ??= draftOf(make(v1.Placement, {})))
  placement.constraints = replaceBy(
    without('--constraint-rm', placement.constraints, gone, text => text),
    [...added],
    text => text,
  )
  placement.preferences = [
    ...without('--placement-pref-rm', placement.preferences, goneSpread, entry => entry.spread),
    ...preferences,
  ]
  if (max !== undefined) {
    placement.maxReplicasPerNode = wholeNumber('--replicas-max-per-node', max)
  }
}

function applyLogDriver(task: TaskDraft, flags: Flags): void {
  const name = flags.text('logDriver')
  const options = pairs('--log-opt', flags.list('logOpt'))
  if (name !== undefined) task.logDriver = { name, options }
  else if (Object.keys(options).length > 0) {
    const before = task.logDriver ?? { name: '', options: {} }
    task.logDriver = { name: before.name, options: { ...before.options, ...options } }
  }
}

function applyUpdate(spec: SpecDraft, flags: Flags, kind: 'update' | 'rollback'): void {
  const fields = ['Parallelism', 'Delay', 'Monitor', 'FailureAction', 'MaxFailureRatio', 'Order']
  if (!fields.some(field => flags.has(`${kind}${field}`))) return
  if (spec.mode === 'replicatedJob' || spec.mode === 'globalJob') {
    throw usage('update and rollback configuration is not supported for jobs')
  }
  const config = spec[kind] ?? draftOf(defaultUpdate())
  spec[kind] = config as Draft<typeof config>
  const text = (field: string): string | undefined => flags.text(`${kind}${field}`)
  const parallelism = text('Parallelism')
  if (parallelism !== undefined) {
    config.parallelism = wholeNumber(`--${kind}-parallelism`, parallelism)
  }
  config.delayMs = durationMs(`--${kind}-delay`, flags.text(`${kind}Delay`)) ?? config.delayMs
  config.monitorMs =
    durationMs(`--${kind}-monitor`, flags.text(`${kind}Monitor`)) ?? config.monitorMs
  const action = text('FailureAction')
  if (action !== undefined) {
    const actions = kind === 'update' ? FAILURE_ACTIONS : (['pause', 'continue'] as const)
    config.failureAction = choice(
      `--${kind}-failure-action`,
      action,
      actions,
    ) as UpdateFailureAction
  }
  const failed = text('MaxFailureRatio')
  if (failed !== undefined) config.maxFailureRatio = ratio(`--${kind}-max-failure-ratio`, failed)
  const order = text('Order')
  if (order !== undefined) {
    config.order = choice(`--${kind}-order`, order, UPDATE_ORDERS) as UpdateOrder
  }
}
