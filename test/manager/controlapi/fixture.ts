// A control API on a store in memory, and objects made the short way.
import { controlHandlers } from '../../../manager/controlapi/control.ts'
import type { ControlDeps } from '../../../manager/controlapi/deps.ts'
import { createRootCa } from '../../../manager/ca/root.ts'
import { createMemoryStore } from '../../../manager/state/store/memory-proposer.ts'
import type { MemoryStore } from '../../../manager/state/store/memory-store.ts'
import { make } from '../../../proto/codec.ts'
import {
  NodeRole,
  NodeState,
  Reachability,
  TaskState,
  v1,
  type Node,
  type ServiceSpec,
  type ServiceSpecInit,
  type Task,
} from '../../../proto/index.ts'
import type { Caller, HandlersOf } from '../../../proto/service.ts'
import { SimClock } from '../../../runtime/clock.ts'
import { silentLog } from '../../../runtime/log.ts'
import { newId, seededRandom } from '../../../runtime/random.ts'

export const caller: Caller = { nodeId: 'm1', role: 'manager', address: '127.0.0.1:1' }

export interface Bench {
  readonly store: MemoryStore
  readonly clock: SimClock
  readonly control: HandlersOf<'Control'>
  readonly newId: () => string
}

export async function bench(deps: Partial<ControlDeps> = {}): Promise<Bench> {
  const clock = new SimClock(Date.UTC(2030, 0, 1))
  const random = seededRandom(5)
  const store = createMemoryStore({ clock, random, log: silentLog })
  const rootCa = await createRootCa({ clusterId: 'c1', nowMs: clock.now(), random })
  await store.update(tx => {
    const spec = { annotations: { name: 'default' }, defaultAddressPools: ['10.0.0.0/8'] }
    tx.create('cluster', make(v1.Cluster, { id: 'c1', spec, rootCa }))
    tx.create('node', aNode('m1', { manager: true }))
  })
  const control = controlHandlers({
    store,
    clock,
    random,
    log: silentLog,
    nodeId: () => 'm1',
    ...deps,
  })
  return { store, clock, control, newId: () => newId(random) }
}

export function aNode(
  id: string,
  options: { manager?: boolean; reachable?: boolean; state?: NodeState; routes?: string[] } = {},
): Node {
  const role = options.manager ? NodeRole.MANAGER : NodeRole.WORKER
  const reachability =
    options.reachable === false ? Reachability.UNREACHABLE : Reachability.REACHABLE
  return make(v1.Node, {
    id,
    spec: { annotations: {}, role },
    description: { hostname: `host-${id}`, hostRoutes: options.routes ?? [] },
    status: { state: options.state ?? NodeState.NODE_READY },
    role,
    ...(options.manager && { manager: { raftId: 1, address: `${id}:2377`, reachability } }),
  })
}

/** A service spec as it comes over the wire. */
export function aSpec(name: string, init: ServiceSpecInit = {}): ServiceSpec {
  return make(v1.ServiceSpec, {
    annotations: { name },
    task: { container: { image: 'nginx:1' } },
    replicated: { replicas: 1 },
    ...init,
  } as ServiceSpecInit)
}

export function aTask(id: string, init: Partial<Task> = {}): Task {
  return {
    ...make(v1.Task, { id, desiredState: TaskState.RUNNING, status: { state: TaskState.RUNNING } }),
    ...init,
  }
}
