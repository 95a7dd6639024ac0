// The Redis Cluster example, seen from inside its containers.
import type { Host } from '../lab/lab.ts'

export const SERVICE = 'redis-cluster_redis'
export const KEYS = 1_000

/** One running Redis task. */
export interface RedisTask {
  readonly host: Host
  readonly container: string
  /** Slot of the service, from 1. */
  readonly slot: number
  readonly address: string
}

export interface ClusterNode {
  readonly id: string
  readonly address: string
  readonly flags: readonly string[]
  readonly master: string
  readonly slots: number
}

/** The containers of the service on the given hosts, by slot. */
export async function redisTasks(hosts: readonly Host[]): Promise<RedisTask[]> {
  const found: RedisTask[] = []
  for (const host of hosts) {
    if (!(await host.alive())) continue
    const filter = `label=io.skein.service.name=${SERVICE}`
    const lines = await host.docker('ps', '--filter', filter, '--format', '{{.ID}} {{.Names}}')
    for (const line of lines.split('\n').filter(Boolean)) {
      const [container = '', name = ''] = line.split(' ')
      const slot = Number(name.split('.')[1])
      found.push({ host, container, slot, address: `172.38.0.1${slot}` })
    }
  }
  return found.toSorted((a, b) => a.slot - b.slot)
}

/** Runs a shell line inside a task's container. @throws with what it printed when it fails */
export function inside(task: RedisTask, script: string): Promise<string> {
  return task.host.docker('exec', task.container, 'sh', '-c', script)
}

/** `cluster info` as a map. */
export async function clusterInfo(task: RedisTask): Promise<ReadonlyMap<string, string>> {
  const text = await inside(task, 'timeout 5 redis-cli cluster info')
  return new Map(text.split(/\r?\n/).map(line => line.split(':') as [string, string]))
}

export async function clusterNodes(task: RedisTask): Promise<ClusterNode[]> {
  const text = await inside(task, 'timeout 5 redis-cli cluster nodes')
  return text
    .split('\n')
    .filter(line => line.trim() !== '')
    .map(line => {
      const [id = '', address = '', flags = '', master = '', , , , , ...ranges] = line
        .trim()
        .split(' ')
      return {
        id,
        address: address.split(':')[0] ?? '',
        flags: flags.split(','),
        master,
        slots: ranges.reduce((sum, range) => sum + rangeSize(range), 0),
      }
    })
}

function rangeSize(range: string): number {
  const match = /^(\d+)(?:-(\d+))?$/.exec(range)
  return match ? Number(match[2] ?? match[1]) - Number(match[1]) + 1 : 0
}

/** Makes the cluster of the six addresses. */
export function createCluster(task: RedisTask): Promise<string> {
  const addresses = [1, 2, 3, 4, 5, 6].map(slot => `172.38.0.1${slot}:6379`).join(' ')
  return inside(task, `redis-cli --cluster create ${addresses} --cluster-replicas 1 --cluster-yes`)
}

/** Writes KEYS keys. @returns how many the cluster acknowledged */
export async function writeKeys(task: RedisTask): Promise<number> {
  const lines = `i=1; while [ $i -le ${KEYS} ]; do echo "set key:$i value:$i"; i=$((i+1)); done`
  return Number(await inside(task, `(${lines}) | redis-cli -c | grep -c '^OK'`))
}

/** Reads them back. @returns how many have the value that was written */
export async function readKeys(task: RedisTask): Promise<number> {
  const lines = `i=1; while [ $i -le ${KEYS} ]; do echo "get key:$i"; i=$((i+1)); done`
  const got = await inside(task, `(${lines}) | timeout 60 redis-cli -c`)
  const values = new Set(got.split('\n').map(line => line.replaceAll('"', '').trim()))
  return Array.from({ length: KEYS }, (_, i) => `value:${i + 1}`).filter(v => values.has(v)).length
}
