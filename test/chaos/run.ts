// One run: three managers, clients, faults from a seed; then everything is healed and what the clients were told is judged.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { seededRandom } from '../../runtime/random.ts'
import { ensurePackages } from '../lab/install.ts'
import { Lab } from '../lab/lab.ts'
import { until } from '../support/cluster.ts'
import { checkRegisters } from '../support/linearizability.ts'
import { type Replica, readReplicas } from './agreement.ts'
import { Clients } from './clients.ts'
import { type FaultKind, drawFaults } from './faults.ts'
import { Managers } from './managers.ts'
import { type Event, Nemesis } from './nemesis.ts'

const HOSTS = 3
const CLIENTS = 5
const SETTLE_MS = 60_000

export interface ChaosOptions {
  readonly seconds: number
  readonly seed: number
  readonly lab: string
  readonly subnet?: string
  readonly log?: (line: string) => void
}

export interface ChaosReport {
  readonly seed: number
  readonly faults: ReadonlyMap<FaultKind, number>
  readonly timeline: readonly Event[]
  /** Register operations that were answered, and members of the set that were acknowledged. */
  readonly answered: number
  readonly acknowledged: number
  /** Writes whose fate the client was not told. */
  readonly unknown: number
  readonly codes: ReadonlyMap<string, number>
  readonly restarts: number
  readonly replicas: readonly Replica[]
  /** Empty when all is well. */
  readonly failures: readonly string[]
  /** Where the history, the timeline and the daemons' logs were left, when something failed. */
  readonly kept?: string
}

/** @throws when the lab cannot be made; what the cluster does wrong is in the report */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const log = options.log ?? (() => undefined)
  await (await Lab.attach(options.lab).catch(() => undefined))?.down()
  await ensurePackages(['faketime'], log)
  const { subnet } = options
  const lab = await Lab.up({
    hosts: HOSTS,
    name: options.lab,
    engines: false,
    log,
    ...(subnet && { subnet }),
  })
  try {
    return await onLab(lab, options, log)
  } finally {
    await lab.down()
  }
}

async function onLab(
  lab: Lab,
  { seconds, seed }: ChaosOptions,
  log: (line: string) => void,
): Promise<ChaosReport> {
  const managers = await Managers.up(lab, log)
  await until(
    () => managers.settled(),
    SETTLE_MS,
    () => 'the cluster was never whole',
  )
  const startMs = performance.now()
  const nowMs = (): number => performance.now() - startMs
  const random = seededRandom(seed)
  const faults = drawFaults(random, seconds, HOSTS)
  const nemesis = new Nemesis(managers, nowMs)
  const clients = new Clients(managers, seededRandom(seed + 1), nowMs)
  const failures: string[] = []

  managers.supervise()
  const working = clients.run(CLIENTS)
  await nemesis.run(faults)
  await sleep(Math.max(0, seconds * 1000 - nowMs()))
  await nemesis.healAll()
  const healed = await until(
    () => managers.settled(),
    SETTLE_MS,
    () => 'healed, and yet the managers do not agree on a leader and an index',
  ).then(
    () => true,
    (error: Error) => failures.push(error.message) === 0,
  )
  clients.stop()
  await working
  const last = (healed && (await managers.leader())) || managers.hosts[0]
  if (healed && last)
    await clients
      .readAll(managers.control(last))
      .catch((error: Error) => failures.push(`reading what is left: ${error.message}`))
  await managers.leaveAlone()
  managers.close()
  await Promise.all(managers.hosts.map(host => managers.cluster.stopDaemon(host)))

  const replicas = await readReplicas(await carriedOut(managers)).catch((error: Error) => {
    failures.push(error.message)
    return []
  })
  failures.push(...judge(clients, replicas))
  const report = {
    seed,
    faults: nemesis.done,
    timeline: nemesis.timeline,
    answered: clients.answered,
    acknowledged: clients.acknowledged.length,
    unknown: clients.history.filter(o => o.returnedMs === undefined).length,
    codes: clients.codes,
    restarts: managers.restarts,
    replicas,
    failures,
  }
  return failures.length === 0 ? report : { ...report, kept: await keep(managers, report, clients) }
}

function judge(clients: Clients, replicas: readonly Replica[]): string[] {
  const failures: string[] = []
  const verdict = checkRegisters(clients.history)
  if ('undecided' in verdict) failures.push('the history is too tangled to be judged')
  else if (!verdict.ok) failures.push(`not linearizable: ${verdict.reason}`)
  for (const replica of replicas) {
    const has = new Set(replica.configs)
    const missing = clients.acknowledged.filter(name => !has.has(name))
    if (missing.length > 0)
      failures.push(`${replica.name} lacks what was acknowledged: ${missing.join(', ')}`)
  }
  if (new Set(replicas.map(replica => replica.digest)).size > 1)
    failures.push(
      `at index ${replicas[0]?.index} the states differ: ${replicas.map(r => `${r.name} ${r.digest.slice(0, 12)}`).join(', ')}`,
    )
  return failures
}

/** Copies of what the managers keep, out of the hosts' own mounts. */
async function carriedOut(managers: Managers): Promise<{ name: string; dir: string }[]> {
  return Promise.all(
    managers.hosts.map(async host => {
      const dir = join(host.dir, 'after')
      mkdirSync(dir, { recursive: true })
      const { code, stderr } = await host.exec([
        'cp',
        '-a',
        join(host.dir, 'skein', 'manager'),
        dir,
      ])
      if (code !== 0) throw new Error(`${host.name}: ${stderr}`)
      return { name: host.name, dir }
    }),
  )
}

async function keep(
  managers: Managers,
  report: Omit<ChaosReport, 'kept'>,
  clients: Clients,
): Promise<string> {
  const dir = `/tmp/skein-chaos-${report.seed}-${Date.now()}`
  mkdirSync(dir, { recursive: true })
  writeFileSync(join(dir, 'history.json'), JSON.stringify(clients.history, undefined, 1))
  const lines = report.timeline.map(event => `${event.atMs} ms: ${event.what}\n`)
  writeFileSync(join(dir, 'timeline.txt'), lines.join(''))
  for (const host of managers.hosts)
    await host.exec(['cp', managers.cluster.logFile(host), join(dir, `${host.name}.log`)])
  return dir
}

/** The report in lines for a person. */
export function describe(report: ChaosReport): string {
  const counts = (map: ReadonlyMap<string, number>): string =>
    [...map].map(([name, count]) => `${name} ${count}`).join(', ')
  const lines = [
    `seed ${report.seed}: ${report.answered} operations answered, ${report.unknown} writes of unknown fate, ${report.acknowledged} creations acknowledged`,
    `faults: ${counts(report.faults)}; daemons started again: ${report.restarts}`,
    `answers: ${counts(report.codes)}`,
    `state at index ${report.replicas[0]?.index}: ${report.replicas.map(r => `${r.name} ${r.digest.slice(0, 12)}`).join(', ')}`,
  ]
  if (report.failures.length === 0) return lines.join('\n')
  const timeline = report.timeline.map(event => `  ${event.atMs} ms: ${event.what}`)
  return [
    ...lines,
    ...report.failures.map(failure => `FAILED: ${failure}`),
    `what was done:`,
    ...timeline,
    `history, timeline and the daemons' logs: ${report.kept}`,
  ].join('\n')
}
