// npm run demo: three hosts, three managers, a Redis Cluster that outlives the host which led everything.
import { join, resolve } from 'node:path'
import { Lab, type Host } from '../lab/lab.ts'
import { Cluster, until } from '../support/cluster.ts'
import * as redis from './redis.ts'

const EXAMPLE = resolve(import.meta.dirname, '../../deploy/examples/redis-cluster.yml')
const LAB = 'skein-demo'
const keep = process.argv.includes('--keep')
const startedMs = performance.now()
let stepMs = startedMs

function done(what: string): void {
  const nowMs = performance.now()
  console.log(` ✓ ${what.padEnd(76)} ${((nowMs - stepMs) / 1000).toFixed(1).padStart(6)} s`)
  stepMs = nowMs
}

function expect(holds: boolean, otherwise: string): asserts holds {
  if (!holds) throw new Error(otherwise)
}

async function demo(lab: Lab): Promise<void> {
  done('three hosts, each with its own Docker Engine')
  const cluster = await Cluster.up(lab)
  const [h1] = lab.hosts
  expect(h1 !== undefined, 'the lab has no hosts')
  const nodes = await until(
    async () => {
      const rows = await cluster.rows(h1, 'node', 'ls')
      return rows.filter(row => row['Status'] === 'Ready').length === 3 && rows
    },
    20_000,
    () => 'not every node became ready',
  )
  expect(
    nodes.every(row => row['ManagerStatus'] !== ''),
    'not every node is a manager',
  )
  done('skein swarm init on h1, swarm join on h2 and h3: three managers')

  await h1
    .exec(['env', 'REDIS_IMAGE=skein/redis:7', ...cluster.command('deploy', EXAMPLE)], {
      timeoutMs: 120_000,
    })
    .then(result => expect(result.code === 0, `deploy failed:\n${result.stderr}${result.stdout}`))
  const tasks = await redis.redisTasks(lab.hosts)
  expect(tasks.length === 6, `expected 6 Redis containers, found ${tasks.length}`)
  const perHost = lab.hosts.map(host => tasks.filter(task => task.host === host).length)
  expect(
    perHost.every(count => count === 2),
    `tasks per host are ${perHost.join(', ')}, not 2, 2, 2`,
  )
  done('skein deploy redis-cluster.yml: six Redis nodes, two on each host')

  await formCluster(tasks)
  done('redis-cli --cluster create: state ok, 16384 slots, 6 nodes, 3 masters')

  const [first, second] = [
    tasks.find(task => task.host === lab.hosts[0]),
    tasks.find(task => task.host === lab.hosts[1]),
  ]
  expect(first !== undefined && second !== undefined, 'a host has no Redis task')
  const written = await redis.writeKeys(first)
  expect(written === redis.KEYS, `only ${written} of ${redis.KEYS} writes were acknowledged`)
  const read = await redis.readKeys(second)
  expect(
    read === redis.KEYS,
    `only ${read} of ${redis.KEYS} keys came back through ${second.host.name}`,
  )
  done(
    `${redis.KEYS} keys written through ${first.host.name}, read back through ${second.host.name}`,
  )

  await loseTheLeader(lab, cluster, tasks)
}

async function formCluster(tasks: readonly redis.RedisTask[]): Promise<void> {
  const [any] = tasks
  expect(any !== undefined, 'no Redis task runs')
  await redis.createCluster(any)
  const info = await until(
    async () => {
      const info = await redis.clusterInfo(any)
      return info.get('cluster_state') === 'ok' && info.get('cluster_known_nodes') === '6' && info
    },
    30_000,
    () => 'the Redis Cluster did not form',
  )
  expect(
    info.get('cluster_slots_assigned') === '16384',
    `${info.get('cluster_slots_assigned')} slots`,
  )
  expect(info.get('cluster_size') === '3', `cluster size is ${info.get('cluster_size')}`)
  await until(
    async () =>
      (await redis.clusterNodes(any)).filter(node => node.flags.includes('slave')).length === 3,
    30_000,
    () => 'the replicas did not attach',
  )
}

async function loseTheLeader(
  lab: Lab,
  cluster: Cluster,
  tasks: readonly redis.RedisTask[],
): Promise<void> {
  const leader = await cluster.leader()
  expect(leader !== undefined, 'no node leads')
  const master = await masterOn(leader, tasks)
  const before = await redis.clusterNodes(master)
  const masterNode = before.find(node => node.address === master.address)
  const replica = before.find(node => node.master === masterNode?.id)
  expect(replica !== undefined, `the master ${master.address} has no replica`)
  const lost = tasks.filter(task => task.host === leader)
  const survivors = lab.hosts.filter(host => host !== leader)
  const [via] = survivors
  const [witness] = tasks.filter(task => task.host !== leader)
  expect(via !== undefined && witness !== undefined, 'no host survives')

  await leader.kill()
  const killedMs = performance.now()
  const since = (): string =>
    `${((performance.now() - killedMs) / 1000).toFixed(1)} s after the kill`
  done(`${leader.name} killed: it led the managers and held the Redis master ${master.address}`)

  const next = await until(
    async () => {
      const host = await cluster.leader(via)
      return host !== leader && host
    },
    20_000,
    () => 'no new leader was elected',
  )
  done(`${next.name} leads (asked ${since()})`)

  await until(
    async () => {
      const info = await redis.clusterInfo(witness)
      const node = (await redis.clusterNodes(witness)).find(other => other.id === replica.id)
      return info.get('cluster_state') === 'ok' && node?.flags.includes('master') && node.slots > 0
    },
    60_000,
    async () => `no replica took over:\n${await redis.inside(witness, 'redis-cli cluster nodes')}`,
  )
  done(`its replica ${replica.address} was promoted, cluster_state:ok (${since()})`)

  const moved = await until(
    async () => {
      const now = await redis.redisTasks(survivors)
      return (
        lost.every(task => now.some(other => other.slot === task.slot)) && now.length === 6 && now
      )
    },
    60_000,
    async () =>
      `the lost tasks do not run elsewhere:\n${await cluster.run(via, 'service', 'ps', redis.SERVICE)}`,
  )
  for (const task of lost) {
    const place = moved.find(other => other.slot === task.slot)
    expect(place !== undefined, `slot ${task.slot} runs nowhere`)
    const address = await redis.inside(place, 'hostname -i')
    expect(address.includes(task.address), `slot ${task.slot} has ${address}, not ${task.address}`)
  }
  done(
    `slots ${lost.map(task => task.slot).join(' and ')} run elsewhere with the same addresses (${since()})`,
  )

  await until(
    async () => {
      const nodes = await redis.clusterNodes(witness)
      const healthy = nodes.filter(
        node => !node.flags.some(flag => flag.startsWith('fail') || flag === 'noaddr'),
      )
      return lost.every(task =>
        healthy.some(node => node.address === task.address && node.flags.includes('slave')),
      )
    },
    90_000,
    async () =>
      `the moved nodes did not rejoin:\n${await redis.inside(witness, 'redis-cli cluster nodes')}`,
  )
  const read = await redis.readKeys(witness)
  expect(read === redis.KEYS, `only ${read} of ${redis.KEYS} keys are readable`)
  expect(
    (await redis.clusterInfo(witness)).get('cluster_state') === 'ok',
    'cluster_state is not ok',
  )
  done(`they joined as replicas; all ${redis.KEYS} keys readable, cluster_state:ok`)

  await comeBack(cluster, leader, via)
}

/** A Redis master on the host; when only replicas run there, one of them is made master first. */
async function masterOn(host: Host, tasks: readonly redis.RedisTask[]): Promise<redis.RedisTask> {
  const here = tasks.filter(task => task.host === host)
  const find = async (): Promise<redis.RedisTask | undefined> => {
    for (const task of here) {
      const self = (await redis.clusterNodes(task)).find(node => node.flags.includes('myself'))
      if (self?.flags.includes('master')) return task
    }
    return undefined
  }
  const found = await find()
  if (found) return found
  const [replica] = here
  expect(replica !== undefined, `no Redis task on ${host.name}`)
  await redis.inside(replica, 'redis-cli cluster failover')
  return until(find, 15_000, () => `no master on ${host.name}`)
}

async function comeBack(cluster: Cluster, host: Host, via: Host): Promise<void> {
  await host.start()
  await cluster.startDaemon(host)
  await until(
    async () => {
      const rows = await cluster.rows(via, 'node', 'ls')
      const row = rows.find(row => row['Hostname'] === host.name)
      return row?.['Status'] === 'Ready' && row['ManagerStatus'] === 'Reachable'
    },
    60_000,
    async () => `${host.name} did not rejoin:\n${await cluster.run(via, 'node', 'ls')}`,
  )
  await until(
    async () => (await redis.redisTasks([host])).length === 0,
    30_000,
    () => `${host.name} still runs containers that were replaced elsewhere`,
  )
  const tasks = await redis.redisTasks(cluster.lab.hosts)
  expect(tasks.length === 6, `${tasks.length} Redis containers run after the return, not 6`)
  done(`${host.name} powered on again: ready, a manager, its replaced containers gone`)
}

async function main(): Promise<void> {
  let lab: Lab | undefined
  const left = await Lab.attach(LAB).catch(() => undefined)
  await left?.down()
  try {
    console.log('Skein demo: three hosts as network namespaces, each with a real Docker Engine\n')
    lab = await Lab.up({
      hosts: 3,
      name: LAB,
      subnet: '10.78.0',
      log: line => console.log(`   ${line}`),
    })
    await demo(lab)
    console.log(`\nAll held. ${((performance.now() - startedMs) / 1000).toFixed(0)} s in all.`)
    if (keep) {
      console.log(`\nThe cluster is left running. Look around:
  npm run lab -- exec --name ${LAB} h1 ${new Cluster(lab).command('node', 'ls').join(' ')}
  npm run lab -- exec --name ${LAB} h1 docker ps
  npm run lab -- status --name ${LAB}
and end it: npm run lab -- down --name ${LAB}`)
    }
  } catch (error) {
    console.error(`\n ✗ ${(error as Error).message}`)
    for (const host of lab?.hosts ?? [])
      console.error(`   daemon of ${host.name}: ${join(host.dir, 'skein.log')}`)
    console.error(`   the lab is left as it is; end it: npm run lab -- down --name ${LAB}`)
    process.exitCode = 1
    return
  }
  if (!keep) await lab.down()
}

await main()
