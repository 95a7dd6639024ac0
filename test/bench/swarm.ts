// Skein beside Docker Swarm: the same machine, the same three engines' binaries, the same observer, alternating rounds.
import { readFileSync } from 'node:fs'
import { Lab } from '../lab/lab.ts'
import { Cluster } from '../support/cluster.ts'
import { dockerSwarm } from './docker-swarm.ts'
import { countRunning, secondsUntil } from './engine.ts'
import type { Benchmark, Row } from './report.ts'
import { skein } from './skein.ts'
import { COMMAND, IMAGE, type System } from './system.ts'

const SIZES = [6, 30, 100]
const LAB = 'skein-bench'

export const swarmBenchmark: Benchmark = async ({ rounds, log }) => {
  const measured = {
    Skein: new Map<string, number[]>(),
    'Docker Swarm': new Map<string, number[]>(),
  }
  for (let round = 1; round <= rounds; round++) {
    for (const system of [dockerSwarm(), skein()]) {
      log(`round ${round} of ${rounds}: ${system.name}`)
      const figures = await onLab(lab => measure(system, lab, log))
      const into = measured[system.name as keyof typeof measured]
      for (const [what, value] of figures) into.set(what, [...(into.get(what) ?? []), value])
    }
  }
  log('memory of a worker with ten tasks')
  const workers = await onLab(workerMemory)
  const of = (what: string): Pick<Row, 'what' | 'skein' | 'peer'> => ({
    what,
    skein: measured.Skein.get(what) ?? [],
    peer: measured['Docker Swarm'].get(what) ?? [],
  })
  return [
    ...SIZES.map(size => ({
      ...of(`${size} replicas running`),
      unit: 's' as const,
      target: { text: 'not slower', holds: (a: number, b: number) => a <= b },
    })),
    {
      ...of('leader SIGKILLed, next write accepted'),
      unit: 's',
      target: { text: '≤ 1 s', holds: (a: number) => a <= 1 },
    },
    {
      ...of('host lost, all its tasks running elsewhere'),
      unit: 's',
      target: { text: '≤ 9 s', holds: (a: number) => a <= 9 },
    },
    {
      ...of('daemon as manager, resident'),
      unit: 'MB',
      target: { text: '≤ 150 MB', holds: (a: number) => a <= 150 },
    },
    {
      what: 'daemon as agent with ten tasks, resident',
      unit: 'MB',
      skein: workers,
      peer: [],
      target: { text: '≤ 80 MB', holds: (a: number) => a <= 80 },
    },
  ]
}

async function onLab<T>(use: (lab: Lab) => Promise<T>): Promise<T> {
  await (await Lab.attach(LAB).catch(() => undefined))?.down()
  const lab = await Lab.up({ hosts: 3, name: LAB, subnet: '10.79.0', liveRestore: false })
  try {
    return await use(lab)
  } finally {
    await lab.down()
  }
}

async function measure(
  system: System,
  lab: Lab,
  log: (line: string) => void,
): Promise<ReadonlyMap<string, number>> {
  const figures = new Map<string, number>()
  const note = (what: string, value: number): void => {
    figures.set(what, value)
    log(`  ${what}: ${value.toFixed(2)}`)
  }
  await system.up(lab)
  for (const size of SIZES) {
    const name = `bench-${size}`
    const running = async (): Promise<boolean> =>
      (await countRunning(lab.hosts, system.label(name))) === size
    const startMs = performance.now()
    await system.create(name, size)
    await secondsUntil(`${size} replicas of ${system.name}`, 300, running)
    note(`${size} replicas running`, (performance.now() - startMs) / 1000)
    if (size === 30) noteMemory(system, note)
    await system.remove(name)
    await secondsUntil(
      'removal',
      300,
      async () => (await countRunning(lab.hosts, system.label(name))) === 0,
    )
  }
  await failover(system, lab, note)
  return figures
}

type Note = (what: string, value: number) => void

/** Kills the leader's process, then a host that carries tasks, the way each is defined in design.md section 10. */
async function failover(system: System, lab: Lab, note: Note): Promise<void> {
  await system.create('lost', 6)
  await secondsUntil(
    '6 replicas',
    60,
    async () => (await countRunning(lab.hosts, system.label('lost'))) === 6,
  )
  const victim = lab.hosts.at(-1)
  const [via] = lab.hosts
  if (!victim || !via) throw new Error('the lab has no hosts')
  const survivors = lab.hosts.filter(host => host !== victim)
  await settleLeaderOff(system, victim)
  await victim.kill()
  const seconds = await secondsUntil('tasks elsewhere', 180, async () => {
    return (await countRunning(survivors, system.label('lost'))) === 6
  })
  note('host lost, all its tasks running elsewhere', seconds)
  await victim.start()
  if (system.name === 'Skein')
    await (system as ReturnType<typeof skein>).cluster().startDaemon(victim)
  await secondsUntil('three managers', 120, async () => {
    await system.write(via, `settled-${performance.now().toFixed(0)}`)
    return true
  })
  await new Promise(resume => setTimeout(resume, 10_000))

  const leader = await system.leader()
  const other = lab.hosts.find(host => host !== leader)
  if (!other) throw new Error('the leader is alone')
  await system.killManager(leader)
  let attempt = 0
  const failoverS = await secondsUntil('a write after the failover', 60, async () => {
    await system.write(other, `after-${attempt++}`)
    return true
  })
  note('leader SIGKILLed, next write accepted', failoverS)
}

/** The lost host must not lead, so that the two failures are measured apart. */
async function settleLeaderOff(system: System, victim: Lab['hosts'][number]): Promise<void> {
  const leader = await system.leader()
  if (leader === victim)
    throw new Error(`${victim.name} leads at the start of a run; it never should`)
}

function noteMemory(system: System, note: Note): void {
  if (system.name !== 'Skein') return
  const cluster = (system as ReturnType<typeof skein>).cluster()
  const resident = cluster.lab.hosts.map(host => residentMb(cluster.daemonPid(host)))
  note('daemon as manager, resident', Math.max(...resident))
}

async function workerMemory(lab: Lab): Promise<number[]> {
  const cluster = await Cluster.up(lab, { managers: 1 })
  const via = cluster.firstHost()
  const placement = ['--constraint', 'node.role==worker', '--replicas', '20', '--name', 'ten']
  await cluster.run(via, 'service', 'create', ...placement, IMAGE, ...COMMAND)
  await new Promise(resume => setTimeout(resume, 15_000))
  return lab.hosts.slice(1).map(host => residentMb(cluster.daemonPid(host)))
}

/** Resident set of a process, MB of 10^6 bytes. */
function residentMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return (Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024) / 1e6
}
