import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { type Task, TaskState } from '../proto/index.ts'
import { stateName } from '../services/model/task.ts'

const IO = [
  0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 5,
]
const LONG = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 60, 120, 300, 600, 1800]
const STATES = Object.values(TaskState).filter(state => typeof state === 'number')
const PULL_RESULTS = ['pulled', 'cached', 'not_found', 'denied', 'timeout', 'error'] as const
const SESSION_FAILURES = ['connect', 'refused', 'welcome', 'heartbeat', 'gap', 'closed'] as const
const FAILURES = [
  'exit',
  'oom',
  'unhealthy',
  'image',
  'create',
  'start',
  'mount',
  'network',
  'port',
] as const

export type PullResult = (typeof PULL_RESULTS)[number]
export type SessionFailure = (typeof SESSION_FAILURES)[number]
export type TaskFailure = (typeof FAILURES)[number]

/** What the agent measures of itself, in a registry of its own. */
export class AgentMetrics {
  readonly #connected: Gauge
  readonly #sessionFailures: Counter<'reason'>
  readonly #heartbeatRtt: Histogram
  readonly #tasks: Gauge<'state'>
  readonly #transitions: Counter<'state'>
  readonly #phases: Histogram<'phase'>
  readonly #failures: Counter<'reason'>
  readonly #pulls: Counter<'result'>
  readonly #pullSeconds: Histogram
  readonly #pullBytes: Counter
  readonly #pullsInProgress: Gauge
  readonly #engineUp: Gauge
  readonly #engineInfo: Gauge<string>
  readonly #engineCalls: Counter<'operation' | 'code'>
  readonly #engineSeconds: Histogram<'operation'>
  readonly #engineEvents: Counter<'type'>
  readonly #eventRestarts: Counter
  readonly #drift: Counter<'kind'>

  constructor(registry: Registry) {
    const registers = [registry]
    const gauge = (name: string, help: string): Gauge => new Gauge({ name, help, registers })
    const counter = (name: string, help: string): Counter => new Counter({ name, help, registers })
    const histogram = (name: string, help: string, buckets: number[]): Histogram =>
      new Histogram({ name, help, buckets, registers })

    this.#connected = gauge('skein_agent_connected', '1 while a session with a manager is open')
    this.#sessionFailures = new Counter({
      name: 'skein_agent_session_failures_total',
      help: 'Session failures',
      labelNames: ['reason'],
      registers,
    })
    this.#heartbeatRtt = histogram('skein_agent_heartbeat_rtt_seconds', 'Heartbeat round trip', IO)
    this.#tasks = new Gauge({
      name: 'skein_agent_tasks',
      help: 'Tasks held by the agent',
      labelNames: ['state'],
      registers,
    })
    this.#transitions = new Counter({
      name: 'skein_agent_task_transitions_total',
      help: 'Transitions into a state',
      labelNames: ['state'],
      registers,
    })
    this.#phases = new Histogram({
      name: 'skein_agent_task_phase_duration_seconds',
      help: 'Duration of an action on a task',
      labelNames: ['phase'],
      buckets: LONG,
      registers,
    })
    this.#failures = new Counter({
      name: 'skein_agent_task_failures_total',
      help: 'Failed tasks',
      labelNames: ['reason'],
      registers,
    })
    this.#pulls = new Counter({
      name: 'skein_agent_image_pulls_total',
      help: 'Image pulls',
      labelNames: ['result'],
      registers,
    })
    this.#pullSeconds = histogram(
      'skein_agent_image_pull_duration_seconds',
      'Successful pulls',
      LONG,
    )
    this.#pullBytes = counter('skein_agent_image_pull_bytes_total', 'Layer bytes downloaded')
    this.#pullsInProgress = gauge('skein_agent_image_pulls_in_progress', 'Pulls running')
    this.#engineUp = gauge('skein_agent_engine_up', '1 when the engine answers')
    this.#engineInfo = new Gauge({
      name: 'skein_agent_engine_info',
      help: 'Engine facts, always 1',
      labelNames: ['version', 'api_version', 'storage_driver', 'cgroup_version', 'kernel'],
      registers,
    })
    this.#engineCalls = new Counter({
      name: 'skein_agent_engine_requests_total',
      help: 'Engine API calls',
      labelNames: ['operation', 'code'],
      registers,
    })
    this.#engineSeconds = new Histogram({
      name: 'skein_agent_engine_request_duration_seconds',
      help: 'Engine API latency without streams',
      labelNames: ['operation'],
      buckets: IO,
      registers,
    })
    this.#engineEvents = new Counter({
      name: 'skein_agent_engine_events_total',
      help: 'Engine events read',
      labelNames: ['type'],
      registers,
    })
    this.#eventRestarts = counter(
      'skein_agent_engine_event_stream_restarts_total',
      'Event stream reconnects',
    )
    this.#drift = new Counter({
      name: 'skein_agent_reconcile_drift_total',
      help: 'Containers found missing, foreign or in an unexpected state',
      labelNames: ['kind'],
      registers,
    })
    // Expected counters start at 0, so that rate() sees the first failure.
    for (const reason of SESSION_FAILURES) this.#sessionFailures.inc({ reason }, 0)
    for (const reason of FAILURES) this.#failures.inc({ reason }, 0)
    for (const result of PULL_RESULTS) this.#pulls.inc({ result }, 0)
    for (const kind of ['missing', 'foreign', 'unexpected']) this.#drift.inc({ kind }, 0)
    for (const state of STATES) this.#tasks.set({ state: stateName(state) }, 0)
  }

  /** Adds the gauge of statuses no manager has acknowledged; `length` is read at each scrape. */
  watchStatusQueue(registry: Registry, length: () => number): void {
    new Gauge({
      name: 'skein_agent_status_queue_length',
      help: 'Status reports not yet acknowledged',
      registers: [registry],
      collect() {
        this.set(length())
      },
    })
  }

  connected(open: boolean): void {
    this.#connected.set(open ? 1 : 0)
  }

  sessionFailed(reason: SessionFailure): void {
    this.#sessionFailures.inc({ reason })
  }

  heartbeat(seconds: number): void {
    this.#heartbeatRtt.observe(seconds)
  }

  tasks(tasks: Iterable<Task>): void {
    const counts = new Map<TaskState, number>(STATES.map(state => [state, 0]))
    for (const task of tasks) {
      const state = task.status?.state ?? TaskState.NEW
      counts.set(state, (counts.get(state) ?? 0) + 1)
    }
    for (const [state, count] of counts) this.#tasks.set({ state: stateName(state) }, count)
  }

  transition(state: TaskState): void {
    this.#transitions.inc({ state: stateName(state) })
  }

  phase(phase: string, seconds: number): void {
    this.#phases.observe({ phase }, seconds)
  }

  taskFailed(reason: TaskFailure): void {
    this.#failures.inc({ reason })
  }

  pullStarted(): void {
    this.#pullsInProgress.inc()
  }

  pullEnded(result: PullResult, seconds: number, bytes: number): void {
    this.#pullsInProgress.dec()
    this.#pulls.inc({ result })
    this.#pullBytes.inc(bytes)
    if (result === 'pulled') this.#pullSeconds.observe(seconds)
  }

  pullSaved(): void {
    this.#pulls.inc({ result: 'cached' })
  }

  engineUp(up: boolean): void {
    this.#engineUp.set(up ? 1 : 0)
  }

  engineInfo(facts: {
    readonly version: string
    readonly apiVersion: string
    readonly storageDriver: string
    readonly cgroupVersion: string
    readonly kernel: string
  }): void {
    this.#engineInfo.reset()
    this.#engineInfo.set(
      {
        version: facts.version,
        api_version: facts.apiVersion,
        storage_driver: facts.storageDriver,
        cgroup_version: facts.cgroupVersion,
        kernel: facts.kernel,
      },
      1,
    )
  }

  engineCall(operation: string, code: string, seconds: number): void {
    this.#engineCalls.inc({ operation, code })
    this.#engineSeconds.observe({ operation }, seconds)
  }

  engineEvent(type: string): void {
    this.#engineEvents.inc({ type })
  }

  eventStreamRestarted(): void {
    this.#eventRestarts.inc()
  }

  drift(kind: 'missing' | 'foreign' | 'unexpected'): void {
    this.#drift.inc({ kind })
  }
}
