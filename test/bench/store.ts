// npm run bench -- store: the store alone at 100,000 tasks, in this process. A snapshot is taken as a manager takes one,
// sealed and written to a disk, while writes go on; the longest the event loop stood still is what counts.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { nodeFs, seedMember } from 'raft-ts'
import { aesSealer } from '../../manager/state/raft/sealer.ts'
import { StoreStateMachine } from '../../manager/state/raft/state-machine.ts'
import { createMemoryStore } from '../../manager/state/store/memory-proposer.ts'
import type { MemoryStore } from '../../manager/state/store/memory-store.ts'
import { make } from '../../proto/codec.ts'
import { type Task, TaskState, v1 } from '../../proto/index.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLog } from '../../runtime/log.ts'
import { newId, seededRandom, systemRandom } from '../../runtime/random.ts'
import type { Benchmark, Row } from './report.ts'

const TASKS = 100_000
const TASKS_OF_A_SERVICE = 500
const NODES = 1_000
const BATCH = 200
const UPDATES = 20_000
const UPDATES_IN_FLIGHT = 64

const MAX_BLOCK_MS = 50
const MAX_RESTORE_S = 1.5

/** Measures all figures once a round, on a store made anew. */
export const storeBenchmark: Benchmark = async ({ rounds, log }) => {
  const seen = {
    idle: [] as number[],
    block: [] as number[],
    disk: [] as number[],
    restore: [] as number[],
    memory: [] as number[],
    updates: [] as number[],
  }
  for (let round = 1; round <= rounds; round++) {
    const emptyBytes = heapBytes()
    const store = await filled()
    // Once: later rounds begin with what the earlier ones left uncollected.
    if (round === 1) seen.memory.push((heapBytes() - emptyBytes) / TASKS / 1000)
    seen.idle.push(await longestBlock(() => new Promise(resume => setTimeout(resume, 300))))
    let snapshot: Uint8Array = new Uint8Array()
    seen.block.push(
      await longestBlock(() =>
        besideWrites(store, async () => {
          snapshot = await new StoreStateMachine(store, systemClock).snapshot()
        }),
      ),
    )
    seen.disk.push(await longestBlock(() => besideWrites(store, () => written(store))))
    seen.restore.push(await seconds(async () => createStore().restore(snapshot, store.version)))
    seen.updates.push(UPDATES / (await seconds(() => manyUpdates(store))))
    log(`round ${round}: snapshot of ${(snapshot.length / 1e6).toFixed(1)} MB`)
  }
  const row = (what: string, unit: Row['unit'], skein: readonly number[]): Row => ({
    what,
    unit,
    skein,
    peer: [],
  })
  const atMost = (limit: number, unit: string): NonNullable<Row['target']> => ({
    text: `≤ ${limit} ${unit}`,
    holds: skein => skein <= limit,
  })
  return [
    row('longest block of the loop, nothing done', 'ms', seen.idle),
    {
      ...row('… snapshot encoded beside writes', 'ms', seen.block),
      target: atMost(MAX_BLOCK_MS, 'ms'),
    },
    {
      ...row('… encoded, sealed and on disk beside writes', 'ms', seen.disk),
      target: atMost(MAX_BLOCK_MS, 'ms'),
    },
    {
      ...row('restore of 100,000 tasks', 's', seen.restore),
      target: atMost(MAX_RESTORE_S, 's'),
    },
    row('memory a task', 'kB', seen.memory),
    row(`updates, ${UPDATES_IN_FLIGHT} in flight, no log`, '/s', seen.updates),
  ]
}

function createStore(): MemoryStore {
  return createMemoryStore({ clock: systemClock, random: systemRandom, log: silentLog })
}

async function filled(): Promise<MemoryStore> {
  const store = createStore()
  const random = seededRandom(7)
  for (let at = 0; at < TASKS; at += BATCH) {
    await store.update(tx => {
      for (let n = at; n < at + BATCH; n++) tx.create('task', aTask(newId(random), n))
    })
  }
  return store
}

/** A task as a service's running one looks. */
function aTask(id: string, n: number): Task {
  const service = Math.floor(n / TASKS_OF_A_SERVICE)
  return make(v1.Task, {
    id,
    serviceId: `service-${service}`,
    serviceName: `web-${service}`,
    slot: (n % TASKS_OF_A_SERVICE) + 1,
    nodeId: `node-${n % NODES}`,
    desiredState: TaskState.RUNNING,
    spec: {
      container: {
        image: 'registry.example.com/web:1.2.3',
        env: ['MODE=production', `SERVICE=${service}`],
        command: ['/bin/web', '--listen', '0.0.0.0:8080'],
      },
      resources: { reservations: { nanoCpus: 250_000_000, memoryBytes: 256 * 1024 * 1024 } },
    },
    status: { state: TaskState.RUNNING, message: 'started', observedAtMs: 1_700_000_000_000 + n },
    networks: [
      { networkId: 'network-1', address: `10.0.${(n >> 8) & 255}.${n & 255}/16`, mac: '02:42:0a' },
    ],
  })
}

/** Does `work` while one write after another goes into the store. */
async function besideWrites(store: MemoryStore, work: () => Promise<void>): Promise<void> {
  const ids = store.view(tx => tx.list('task').slice(0, 1_000)).map(task => task.id)
  let isOver = false
  const writing = (async () => {
    for (let n = 0; !isOver; n++) {
      await touch(store, ids[n % ids.length] ?? '', n)
      await new Promise(resume => setImmediate(resume))
    }
  })()
  try {
    await work()
  } finally {
    isOver = true
    await writing
  }
}

function touch(store: MemoryStore, id: string, n: number): Promise<void> {
  return store.update(tx => {
    const task = tx.get('task', id)
    if (task?.status) tx.update('task', { ...task, status: { ...task.status, observedAtMs: n } })
  })
}

/** As Raft's snapshot store writes one: framed, sealed, checked, synced. */
async function written(store: MemoryStore): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'skein-bench-'))
  try {
    const data = await new StoreStateMachine(store, systemClock).snapshot()
    await seedMember({
      fs: nodeFs,
      dir,
      encrypt: aesSealer(systemRandom.bytes(32), systemRandom),
      self: { id: 1, address: '', learner: false },
      index: store.version,
      term: 1,
      removed: [],
      data,
    })
  } finally {
    await rm(dir, { recursive: true })
  }
}

async function manyUpdates(store: MemoryStore): Promise<void> {
  const ids = store.view(tx => tx.list('task')).map(task => task.id)
  const worker = async (first: number): Promise<void> => {
    for (let n = first; n < UPDATES; n += UPDATES_IN_FLIGHT) await touch(store, ids[n] ?? '', n)
  }
  await Promise.all(Array.from({ length: UPDATES_IN_FLIGHT }, (_, first) => worker(first)))
}

/** The longest time, in ms, that the event loop stood still during `work`. */
async function longestBlock(work: () => Promise<unknown>): Promise<number> {
  collect()
  // The histogram counts from one of its own timers to the next: the sampling period is not a block.
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  await work()
  await new Promise(resume => setTimeout(resume, 5))
  delay.disable()
  return delay.max / 1e6
}

async function seconds(work: () => Promise<unknown>): Promise<number> {
  collect()
  const startMs = performance.now()
  await work()
  return (performance.now() - startMs) / 1000
}

function heapBytes(): number {
  collect()
  return process.memoryUsage().heapUsed
}

function collect(): void {
  setFlagsFromString('--expose_gc')
  ;(runInNewContext('gc') as () => void)()
}
