import { make } from '../../proto/codec.ts'
import {
  type Node,
  NodeState,
  type Service,
  type ServiceSpecInit,
  type Task,
  TaskState,
  v1,
} from '../../proto/index.ts'
import { withDefaults } from '../../services/spec/defaults.ts'

export const IMAGE = 'shop/web:1'

export function aNode(id: string, state: NodeState = NodeState.NODE_READY): Node {
  return make(v1.Node, {
    id,
    meta: { version: 1, specVersion: 1, createdAtMs: 1, updatedAtMs: 1 },
    spec: { annotations: { name: '', labels: {} } },
    description: { hostname: `host-${id}`, engine: { version: '28.5.1' } },
    status: { state, sinceMs: 1_000 },
  })
}

export interface ServiceOptions {
  readonly id?: string
  readonly name?: string
  readonly version?: number
  readonly specVersion?: number
  readonly spec?: ServiceSpecInit
  readonly replicas?: number
  readonly image?: string
  readonly update?: { readonly state: number; readonly message?: string }
  readonly blockedBy?: string
}

export function aService(options: ServiceOptions = {}): Service {
  const { id = 'svc1', name = 'web', version = 5, specVersion = 5, replicas = 2 } = options
  const task = { container: { image: options.image ?? IMAGE }, ...options.spec?.task }
  const spec = withDefaults({
    annotations: { name, labels: {} },
    ...(!hasMode(options.spec) ? { replicated: { replicas } } : {}),
    ...options.spec,
    task,
  } as ServiceSpecInit)
  return make(v1.Service, {
    id,
    meta: { version, specVersion, createdAtMs: 1_000, updatedAtMs: 1_000 },
    spec,
    endpoint: { spec: spec.endpoint, ports: spec.endpoint?.ports ?? [] },
    blockedBy: options.blockedBy ?? '',
    ...(options.update === undefined
      ? {}
      : { updateStatus: { state: options.update.state, message: options.update.message ?? '' } }),
  })
}

export interface TaskOptions {
  readonly id?: string
  readonly slot?: number
  readonly nodeId?: string
  readonly state?: TaskState
  readonly desired?: TaskState
  readonly error?: string
  readonly exitCode?: number
  readonly log?: readonly string[]
  readonly order?: number
  readonly specVersion?: number
  readonly jobIteration?: number
}

/** A task of `service` on its current spec. */
export function aTask(service: Service, options: TaskOptions = {}): Task {
  const { slot = 1, state = TaskState.RUNNING, nodeId = 'n1', order = 1 } = options
  return make(v1.Task, {
    id: options.id ?? `task${slot}x${order}`,
    meta: { version: order, createdAtMs: order },
    spec: service.spec?.task ?? null,
    specVersion: options.specVersion ?? service.meta?.specVersion ?? 0,
    serviceId: service.id,
    serviceName: service.spec?.annotations?.name ?? '',
    serviceLabels: service.spec?.annotations?.labels ?? {},
    slot,
    nodeId,
    desiredState: options.desired ?? TaskState.RUNNING,
    endpoint: service.endpoint,
    status: {
      state,
      error: options.error ?? '',
      observedAtMs: 1_000,
      container: { exitCode: options.exitCode ?? 0, lastLogLines: options.log ?? [] },
    },
    createdOrder: order,
    jobIteration: options.jobIteration ?? 0,
  })
}

function hasMode(spec: ServiceSpecInit | undefined): boolean {
  if (spec === undefined) return false
  return 'global' in spec || 'replicatedJob' in spec || 'globalJob' in spec
}
