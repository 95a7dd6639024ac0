import { make } from '../../proto/codec.ts'
import { type Assignments, type Task, TaskState, v1 } from '../../proto/index.ts'
import type { NetworkState, Networks } from '../../agent/network/types.ts'
import type { SimClock } from '../../runtime/clock.ts'

type TaskInit = Parameters<typeof make<typeof v1.Task>>[1]

/** A task of service web on node n1, assigned and wanted running. */
export function aTask(init: TaskInit = {}): Task {
  return make(v1.Task, {
    id: 't1',
    serviceId: 's1',
    serviceName: 'web',
    slot: 1,
    nodeId: 'n1',
    desiredState: TaskState.RUNNING,
    status: { state: TaskState.ASSIGNED },
    spec: { container: { image: 'app:1' } },
    ...init,
  })
}

export function anAssignment(assignments: Partial<Assignments>): Assignments {
  return { ...make(v1.Assignments, {}), ...assignments }
}

/** A network half that programs everything at once and remembers what it was told. */
export class FakeNetworks implements Networks {
  readonly states: NetworkState[] = []
  revision = 0
  /** Whether update() is programmed at once. */
  instant = true

  update(state: NetworkState): void {
    this.states.push(state)
    if (this.instant) this.revision = state.revision
  }

  async prepare(): ReturnType<Networks['prepare']> {
    return { attachments: [], dns: [], resolvConf: undefined }
  }

  async started(): Promise<void> {}

  applied(): { readonly revision: number; readonly problems: readonly string[] } {
    return { revision: this.revision, problems: [] }
  }

  async stop(): Promise<void> {}
}

/** Lets promises settle, then time pass in small steps, each followed by its promises. */
export async function advance(clock: SimClock, ms: number, stepMs = 10): Promise<void> {
  await settle()
  for (let passed = 0; passed < ms; passed += stepMs) {
    clock.advance(Math.min(stepMs, ms - passed))
    await settle()
  }
}

export async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise(resolve => setImmediate(resolve))
}
