// How long a cluster of three real daemons takes no writes when its leader is killed, is cut off, or is stopped in order; and
// whether it keeps its leader while the machine's cores are saturated.
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { unary } from '../../proto/call.ts'
import { Lab } from '../lab/lab.ts'
import type { Host } from '../lab/lab.ts'
import { Managers } from '../chaos/managers.ts'
import { until } from '../support/cluster.ts'
import { type Benchmark, type Row, median } from './report.ts'

const LAB = 'skein-failover'
const SETTLE_MS = 60_000
const ATTEMPT_MS = 5_000
/** perf_hooks looks at the loop this often and counts the interval as delay. */
const RESOLUTION_MS = 10

/** `seconds`: how long the run with saturated cores lasts. */
export const failoverBenchmark: Benchmark = async ({ rounds, seconds, log }) => {
  await (await Lab.attach(LAB).catch(() => undefined))?.down()
  const lab = await Lab.up({ hosts: 3, name: LAB, engines: false, log })
  try {
    const managers = await Managers.up(lab, () => undefined, {
      fakeClocks: false,
      smallDisk: false,
    })
    managers.supervise()
    const [killed, cut, stopped]: [Outage[], Outage[], Outage[]] = [[], [], []]
    for (let round = 1; round <= rounds; round++) {
      log(`round ${round} of ${rounds}`)
      killed.push(await outage(managers, kill))
      cut.push(await outage(managers, cutOff))
      stopped.push(await outage(managers, stop))
    }
    log(`${seconds} s with all cores saturated`)
    const elections = await underLoad(managers, seconds)
    await managers.leaveAlone()
    const lasted = (outages: readonly Outage[]): number[] => outages.map(outage => outage.seconds)
    return [
      row('leader SIGKILLed, next write accepted', lasted(killed), '≤ 1.0 s', 1),
      row('  95th percentile', [percentile(lasted(killed), 0.95)], '≤ 2.5 s', 2.5),
      row("leader's host cut off, next write accepted", lasted(cut), '≤ 2.0 s', 2),
      row('leader stopped in order, next write accepted', lasted(stopped), '≤ 0.2 s', 0.2),
      {
        what: `elections in ${seconds} s with all cores saturated`,
        unit: 'elections',
        skein: [elections],
        peer: [],
        target: { text: 'none', holds: skein => skein === 0 },
      },
      {
        what: 'longest block of a survivor’s event loop in all that',
        unit: 'ms',
        skein: [Math.max(...[...killed, ...cut, ...stopped].map(outage => outage.longestBlockMs))],
        peer: [],
        target: { text: '≤ 50 ms', holds: skein => skein <= 50 },
      },
    ]
  } finally {
    await lab.down()
  }
}

interface Outage {
  /** From the blow until a write that was asked of another manager after it was accepted. */
  readonly seconds: number
  readonly longestBlockMs: number
}

/** What ends a leader, and how the cluster is made whole afterwards. */
type Blow = (managers: Managers, leader: Host) => Promise<() => Promise<void>>

const kill: Blow = async (managers, leader) => {
  managers.hold(leader)
  managers.kill(leader)
  return async () => managers.release(leader)
}
const cutOff: Blow = async (managers, leader) => {
  await managers.cluster.lab.partition(leader.name)
  return () => managers.cluster.lab.heal()
}
const stop: Blow = async (managers, leader) => {
  managers.hold(leader)
  process.kill(managers.cluster.daemonPid(leader), 'SIGTERM')
  return async () => managers.release(leader)
}

let written = 0

async function outage(managers: Managers, blow: Blow): Promise<Outage> {
  await until(
    () => managers.settled(),
    SETTLE_MS,
    () => 'the cluster is not whole',
  )
  const leader = await managers.leader()
  const via = managers.hosts.find(host => host !== leader)
  if (!leader || !via) throw new Error('no leader')
  const control = managers.control(via)
  const survivors = managers.hosts.filter(host => host !== leader)
  await longestBlock(survivors)
  const startMs = performance.now()
  const makeWhole = await blow(managers, leader)
  for (;;) {
    const spec = { annotations: { name: `failover-${++written}` }, data: new Uint8Array([1]) }
    try {
      await unary(control, control.createConfig, { spec }, { timeoutMs: ATTEMPT_MS })
      break
    } catch {
      await sleep(5)
    }
  }
  const seconds = (performance.now() - startMs) / 1000
  const longestBlockMs = await longestBlock(survivors)
  await makeWhole()
  return { seconds, longestBlockMs }
}

/** Twice as many spinning processes as cores, and a writer. @returns how often the term changed */
async function underLoad(managers: Managers, seconds: number): Promise<number> {
  await until(
    () => managers.settled(),
    SETTLE_MS,
    () => 'the cluster is not whole',
  )
  const before = await managers.term()
  const burners = Array.from({ length: 2 * availableParallelism() }, () =>
    spawn(process.execPath, ['-e', 'for (;;) {}'], { stdio: 'ignore' }),
  )
  try {
    const endMs = performance.now() + seconds * 1000
    const [via] = managers.hosts
    if (!via) throw new Error('no hosts')
    const control = managers.control(via)
    while (performance.now() < endMs) {
      const spec = { annotations: { name: `load-${++written}` }, data: new Uint8Array([1]) }
      await unary(control, control.createConfig, { spec }).catch(() => undefined)
    }
  } finally {
    for (const burner of burners) burner.kill('SIGKILL')
  }
  return (await managers.term()) - before
}

/** The longest delay of a loop since it was asked last, by the daemons' own metric (perf_hooks). */
async function longestBlock(hosts: readonly Host[]): Promise<number> {
  const all = await Promise.all(
    hosts.map(async host => {
      const url = `http://${host.address}:9477/metrics`
      const { stdout } = await host.exec(['curl', '-s', '-m', '5', url])
      const line = /^nodejs_eventloop_lag_max_seconds(?:\{.*\})? (\S+)/m.exec(stdout)
      return Number(line?.[1] ?? 0) * 1000 - RESOLUTION_MS
    }),
  )
  return Math.max(...all)
}

function row(what: string, skein: readonly number[], text: string, limit: number): Row {
  return { what, unit: 's', skein, peer: [], target: { text, holds: value => value <= limit } }
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? median(values)
}
