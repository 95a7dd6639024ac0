import { make } from '../../proto/codec.ts'
import { UpdateState, v1, type Service, type ServiceSpec } from '../../proto/index.ts'
import { StatusError } from '../../runtime/errors.ts'
import { newId } from '../../runtime/random.ts'
import { isJob, modeName } from '../../services/model/service.ts'
import { withDefaults } from '../../services/spec/defaults.ts'
import { equal } from '../../services/spec/equal.ts'
import { validateService } from '../../services/spec/validate.ts'
import { findPortConflict } from '../allocator/ports.ts'
import type { ReadTx } from '../state/store/types.ts'
import type { ControlDeps } from './deps.ts'
import { redactService } from './redact.ts'
import { resolveReferences } from './references.ts'
import { checkSequence, committed, requireSpec } from './sequence.ts'
import { serviceWarnings } from './warnings.ts'

interface ServiceAnswer {
  readonly service: Service
  readonly warnings: readonly string[]
}

/** Defaults, checks, then one transaction. The orchestrator makes the tasks. */
export async function createService(
  deps: ControlDeps,
  request: { readonly spec: ServiceSpec | null },
  author: string,
): Promise<ServiceAnswer> {
  const asked = completed(requireSpec(request.spec, 'service create'))
  const id = newId(deps.random)
  await deps.store.update(
    tx => {
      const spec = resolveReferences(tx, asked)
      checkPorts(tx, spec, '')
      tx.create('service', { ...make(v1.Service, { id }), spec })
    },
    { author },
  )
  return answer(deps, id)
}

export async function getService(
  deps: ControlDeps,
  request: { readonly id: string },
): Promise<{ service: Service }> {
  return { service: redactService(deps.store.view(tx => tx.resolve('service', request.id))) }
}

export async function listServices(deps: ControlDeps): Promise<{ services: Service[] }> {
  return { services: deps.store.view(tx => tx.list('service')).map(redactService) }
}

/**
 * A new spec, or back to the previous one. The previous spec is kept, one deep, and any finished update's status is
 * cleared (Swarm rows SV-18 … SV-20).
 */
export async function updateService(
  deps: ControlDeps,
  request: {
    readonly id: string
    readonly specVersion: number
    readonly spec: ServiceSpec | null
    readonly rollback: boolean
  },
  author: string,
): Promise<ServiceAnswer> {
  const asked = request.rollback
    ? undefined
    : completed(requireSpec(request.spec, `service ${request.id}`))
  const nowMs = deps.clock.now()
  const id = await deps.store.update(
    tx => {
      const service = tx.resolve('service', request.id)
      checkSequence('service', service, request.specVersion)
      const next = asked ? updated(tx, service, asked) : rolledBack(service, nowMs)
      if (next) tx.update('service', next, { spec: true })
      return service.id
    },
    { author },
  )
  return answer(deps, id)
}

/** The service goes; its orchestrator ends the tasks. */
export async function removeService(
  deps: ControlDeps,
  request: { readonly id: string },
  author: string,
): Promise<object> {
  await deps.store.update(tx => tx.delete('service', tx.resolve('service', request.id).id), {
    author,
  })
  return {}
}

function completed(asked: ServiceSpec): ServiceSpec {
  const spec = withDefaults(asked)
  if (isJob(spec)) {
    const name = spec.annotations?.name ?? ''
    throw new StatusError(
      'Unimplemented',
      `service ${name}: mode ${modeName(spec)}: this version runs services that keep running, and no jobs; use the mode replicated or global`,
    )
  }
  validateService(spec)
  return spec
}

/** The service with its new spec; undefined when nothing would change. */
function updated(tx: ReadTx, service: Service, asked: ServiceSpec): Service | undefined {
  const before = service.spec
  const name = before?.annotations?.name ?? ''
  const newName = asked.annotations?.name ?? ''
  if (newName !== name) {
    throw new StatusError(
      'Unimplemented',
      `service ${name}: renaming services is not supported (the new spec says ${newName}); create it under the new name and remove this one`,
    )
  }
  if (before && modeName(before) !== modeName(asked)) {
    throw new StatusError(
      'Unimplemented',
      `service ${name}: service mode change is not allowed (from ${modeName(before)} to ${modeName(asked)}); remove it and create it anew`,
    )
  }
  const spec = keepCredentials(resolveReferences(tx, asked), before)
  if (!equal(spec.endpoint, before?.endpoint)) checkPorts(tx, spec, service.id)
  if (equal(spec, before)) return undefined
  return {
    ...service,
    spec,
    previousSpec: before,
    previousSpecVersion: service.meta?.specVersion ?? 0,
    updateStatus: null,
    blockedBy: '',
  }
}

/** Answers never hold registry credentials, so a spec that was read and sent back has lost them. */
function keepCredentials(spec: ServiceSpec, before: ServiceSpec | null): ServiceSpec {
  const pull = before?.task?.container?.pull
  const container = spec.task?.container
  if (!pull?.registryAuth || !spec.task || !container || container.pull?.registryAuth) return spec
  const policy = container.pull?.policy ?? pull.policy
  const kept = { ...container, pull: { registryAuth: pull.registryAuth, policy } }
  return { ...spec, task: { ...spec.task, container: kept } }
}

function rolledBack(service: Service, nowMs: number): Service {
  if (!service.previousSpec) {
    const name = service.spec?.annotations?.name ?? service.id
    throw new StatusError(
      'FailedPrecondition',
      `service ${name} does not have a previous spec to go back to`,
    )
  }
  return {
    ...service,
    spec: service.previousSpec,
    previousSpec: service.spec,
    previousSpecVersion: service.meta?.specVersion ?? 0,
    updateStatus: {
      state: UpdateState.ROLLBACK_STARTED,
      startedAtMs: nowMs,
      completedAtMs: 0,
      message: 'manually requested rollback',
    },
    blockedBy: '',
  }
}

function checkPorts(tx: ReadTx, spec: ServiceSpec, serviceId: string): void {
  const conflict = findPortConflict(tx, spec, serviceId)
  if (conflict !== undefined) {
    throw new StatusError('InvalidArgument', `service ${spec.annotations?.name ?? ''}: ${conflict}`)
  }
}

function answer(deps: ControlDeps, id: string): ServiceAnswer {
  return deps.store.view(tx => {
    const service = committed(tx.get('service', id), `service ${id}`)
    return { service: redactService(service), warnings: serviceWarnings(tx, service) }
  })
}
