// What every e2e file starts with: a lab of its own and, mostly, a cluster on it; both are taken down at the end.
import type { Test } from 'tap'
import { Lab } from '../lab/lab.ts'
import { Cluster, type ClusterOptions } from './cluster.ts'

/** Bytes 10.80.x of the labs' networks, one a file, so that labs may stand side by side. */
const SUBNETS: Readonly<Record<string, string>> = {
  member: '10.80.1',
  failure: '10.80.2',
  service: '10.80.3',
  trust: '10.80.4',
  wal: '10.80.5',
  metrics: '10.80.6',
  network: '10.80.7',
  executor: '10.80.8',
  readme: '10.80.9',
  backup: '10.80.10',
  chaos: '10.80.11',
}

/** The subnet of a file's lab. */
export function subnetOf(name: string): string {
  const subnet = SUBNETS[name]
  if (subnet === undefined) throw new Error(`no subnet is set aside for the lab of ${name}`)
  return subnet
}

export interface E2eOptions extends ClusterOptions {
  readonly hosts?: number
}

/** A lab without daemons. */
export async function labFor(t: Test, name: string, hosts = 3): Promise<Lab> {
  const labName = `e2e-${name}`
  await (await Lab.attach(labName).catch(() => undefined))?.down()
  const subnet = SUBNETS[name]
  const lab = await Lab.up({ hosts, name: labName, ...(subnet ? { subnet } : {}) })
  t.teardown(() => lab.down())
  return lab
}

/** A lab with a cluster on all its hosts. */
export async function clusterFor(
  t: Test,
  name: string,
  options: E2eOptions = {},
): Promise<Cluster> {
  return Cluster.up(await labFor(t, name, options.hosts), options)
}
