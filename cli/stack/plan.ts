import type {
  Config,
  ConfigSpecInit,
  Network,
  NetworkSpecInit,
  Secret,
  SecretSpecInit,
  Service,
  ServiceSpec,
  ServiceSpecInit,
} from '../../proto/index.ts'
import { type Stack, STACK_LABEL } from '../../services/compose/stack.ts'
import { withDefaults } from '../../services/spec/defaults.ts'
import {
  type SpecChange,
  describeChange,
  diffSpecs,
  replacesTasks,
} from '../../services/spec/diff.ts'
import { equal } from '../../services/spec/equal.ts'
import { validateService } from '../../services/spec/validate.ts'
import { Failure } from '../failure.ts'
import { type PayloadPlan, type Stored, planPayload } from './payloads.ts'

/** What the cluster has, as far as a stack can touch it. */
export interface ClusterState {
  readonly services: readonly Service[]
  readonly networks: readonly Network[]
  readonly secrets: readonly Secret[]
  readonly configs: readonly Config[]
}

export interface NetworkPlan {
  readonly kind: 'keep' | 'create'
  readonly name: string
  readonly id: string
  readonly spec: NetworkSpecInit | undefined
}

export interface ServicePlan {
  readonly kind: 'keep' | 'create' | 'update'
  readonly name: string
  readonly init: ServiceSpecInit
  readonly existing: Service | undefined
  readonly changes: readonly SpecChange[]
  readonly replacesTasks: boolean
}

export interface Plan {
  readonly stack: string
  readonly networks: readonly NetworkPlan[]
  readonly secrets: readonly PayloadPlan<SecretSpecInit>[]
  readonly configs: readonly PayloadPlan<ConfigSpecInit>[]
  readonly services: readonly ServicePlan[]
  /** Services of the stack the file no longer has. Removed with --prune only. */
  readonly leftOver: readonly Service[]
}

/** Ids by the names the file uses; filled as things are created. */
export interface Ids {
  readonly networks: ReadonlyMap<string, string>
  readonly secrets: ReadonlyMap<string, { readonly id: string; readonly name: string }>
  readonly configs: ReadonlyMap<string, { readonly id: string; readonly name: string }>
}

/**
 * What has to be done so that the cluster has the stack. Nothing is done yet; doing it and planning again gives a plan
 * that keeps everything.
 * @throws Failure for an external object that is missing; StatusError for a spec that is not valid
 */
export function planStack(stack: Stack, state: ClusterState): Plan {
  const networks = [...stack.networks.values()].map((declared): NetworkPlan => {
    const found = state.networks.find(each => nameOf(each) === declared.name)
    if (found !== undefined) {
      return { kind: 'keep', name: declared.name, id: found.id, spec: undefined }
    }
    if (!declared.external) {
      const spec = { ...declared.spec, driver: declared.spec.driver || 'overlay' }
      return { kind: 'create', name: declared.name, id: '', spec }
    }
    throw new Failure(
      `network "${declared.name}" is declared as external, but could not be found`,
      { next: [`skein network create ${declared.name}`] },
    )
  })
  const storedSecrets = state.secrets.map(stored)
  const storedConfigs = state.configs.map(stored)
  const secrets = [...stack.secrets.values()].map(declared =>
    planPayload('secret', declared, storedSecrets),
  )
  const configs = [...stack.configs.values()].map(declared =>
    planPayload('config', declared, storedConfigs),
  )
  const ids = idsOf({ networks, secrets, configs })
  const services = [...stack.services.values()].map(init => planService(init, ids, state))
  const names = new Set(services.map(service => service.name))
  return {
    stack: stack.name,
    networks,
    secrets,
    configs,
    services,
    leftOver: state.services.filter(
      service => stackOf(service) === stack.name && !names.has(nameOf(service)),
    ),
  }
}

/** The stack an object belongs to; undefined when it belongs to none. */
export function stackOf(object: {
  readonly spec: {
    readonly annotations: { readonly labels: Readonly<Record<string, string>> } | null
  } | null
}): string | undefined {
  return object.spec?.annotations?.labels[STACK_LABEL]
}

/** Ids of what is there; what is yet to be created stands under its name, so that specs can be compared before. */
export function idsOf(plan: Pick<Plan, 'networks' | 'secrets' | 'configs'>): Ids {
  const payloads = (plans: readonly PayloadPlan<SecretSpecInit | ConfigSpecInit>[]) =>
    new Map(plans.map(each => [each.source, { id: each.id || each.name, name: each.name }]))
  return {
    networks: new Map(plan.networks.map(network => [network.name, network.id || network.name])),
    secrets: payloads(plan.secrets),
    configs: payloads(plan.configs),
  }
}

/** A service's complete spec, its references turned into ids. */
export function resolveSpec(
  init: ServiceSpecInit,
  ids: Ids,
  existing: Service | undefined,
): ServiceSpec {
  const spec = withDefaults(init)
  const task = spec.task
  if (task === null) return spec
  const container = task.container
  return {
    ...spec,
    task: {
      ...task,
      forceUpdate: existing?.spec?.task?.forceUpdate ?? task.forceUpdate,
      networks: task.networks.map(network => ({
        ...network,
        target: ids.networks.get(network.target) ?? network.target,
      })),
      container:
        container === null
          ? null
          : {
              ...container,
              secrets: container.secrets.map(reference => {
                const found = ids.secrets.get(reference.secretName)
                return found === undefined
                  ? reference
                  : { ...reference, secretId: found.id, secretName: found.name }
              }),
              configs: container.configs.map(reference => {
                const found = ids.configs.get(reference.configName)
                return found === undefined
                  ? reference
                  : { ...reference, configId: found.id, configName: found.name }
              }),
            },
    },
  }
}

function planService(init: ServiceSpecInit, ids: Ids, state: ClusterState): ServicePlan {
  const name = init.annotations?.name ?? ''
  const existing = state.services.find(service => nameOf(service) === name)
  const spec = resolveSpec(init, ids, existing)
  validateService(spec)
  const before = existing?.spec ?? null
  if (before === null) {
    return { kind: 'create', name, init, existing, changes: [], replacesTasks: false }
  }
  if (equal(before, spec)) {
    return { kind: 'keep', name, init, existing, changes: [], replacesTasks: false }
  }
  const changes = diffSpecs(before, spec)
  return {
    kind: 'update',
    name,
    init,
    existing,
    changes,
    replacesTasks: replacesTasks(before, spec),
  }
}

/** The plan as people read it: `+` new, `~` changed, `=` as it is, `-` to be removed. */
export function planLines(plan: Plan, prunes: boolean): readonly string[] {
  const lines: string[] = []
  const row = (sign: string, kind: string, name: string, text = ''): void => {
    lines.push(`  ${sign} ${kind.padEnd(8)} ${name}${text === '' ? '' : `   ${text}`}`)
  }
  for (const network of plan.networks) {
    row(network.kind === 'create' ? '+' : '=', 'network', network.name)
  }
  for (const [kind, payloads] of [
    ['secret', plan.secrets],
    ['config', plan.configs],
  ] as const) {
    for (const payload of payloads) {
      if (payload.kind === 'replace')
        row('~', kind, payload.source, `new content as ${payload.name}`)
      else row(payload.kind === 'create' ? '+' : '=', kind, payload.name)
    }
  }
  for (const service of plan.services) {
    if (service.kind === 'create') row('+', 'service', service.name)
    else if (service.kind === 'keep') row('=', 'service', service.name, 'unchanged')
    else {
      row('~', 'service', service.name, service.replacesTasks ? 'replaces its tasks' : '')
      for (const change of service.changes.slice(0, CHANGES_MAX)) {
        lines.push(`               ${describeChange(change)}`)
      }
      const more = service.changes.length - CHANGES_MAX
      if (more > 0) lines.push(`               and ${more} more`)
    }
  }
  for (const service of plan.leftOver) {
    if (prunes) row('-', 'service', nameOf(service))
    else row('!', 'service', nameOf(service), 'not in the file; --prune removes it')
  }
  return lines
}

const CHANGES_MAX = 8

export function nameOf(object: {
  readonly spec: { readonly annotations: { readonly name: string } | null } | null
}): string {
  return object.spec?.annotations?.name ?? ''
}

function stored(object: Secret | Config): Stored {
  const spec = object.spec
  return {
    id: object.id,
    name: nameOf(object),
    labels: spec?.annotations?.labels ?? {},
    ...(spec !== null && spec.data.length > 0 ? { data: spec.data } : {}),
  }
}

/** Secrets or configs of the stack that nothing refers to: the versions before a change of content. */
export function unusedPayloads<T extends Secret | Config>(
  objects: readonly T[],
  stack: string,
  services: readonly Service[],
): readonly T[] {
  const used = new Set(
    services
      .flatMap(service => [service.spec, service.previousSpec])
      .flatMap(spec => [
        ...(spec?.task?.container?.secrets.map(reference => reference.secretId) ?? []),
        ...(spec?.task?.container?.configs.map(reference => reference.configId) ?? []),
      ]),
  )
  return objects.filter(object => stackOf(object) === stack && !used.has(object.id))
}
