// Where a lab keeps things and what it calls them: names, addresses, directories. Pure but for the default root.
import { join } from 'node:path'
import { LabError } from './errors.ts'

export const DEFAULT_LAB = 'skein'
export const CLIENT_HOST = 'hx'
const CLIENT_NUMBER = 100
const MAX_HOSTS = 99

/** What `up` was asked for; kept in lab.json so that any later process can attach. */
export interface LabRecord {
  readonly name: string
  /** First three bytes of the lab's /24, such as `10.77.0`. */
  readonly subnet: string
  readonly hosts: number
  readonly liveRestore: boolean
  readonly engines: boolean
  readonly storageDriver: 'overlay2' | 'vfs'
}

export interface HostLayout {
  readonly name: string
  readonly address: string
  readonly prefixLength: number
  readonly mac: string
  readonly dir: string
  /** Name of the host's cgroup, below the root of each hierarchy. */
  readonly cgroup: string
  /** The client is a bare machine: no engine. */
  readonly engine: boolean
}

export function labRoot(): string {
  return process.env['SKEIN_LAB_ROOT'] ?? '/var/lib/skein-lab'
}

export function labDir(name: string): string {
  return join(labRoot(), name)
}

export function recordFile(name: string): string {
  return join(labDir(name), 'lab.json')
}

/** @throws {LabError} when a name or number cannot be used for namespaces, cgroups and directories */
export function checkRequest(name: string, hosts: number): void {
  if (!/^[a-z][a-z0-9-]{0,19}$/.test(name) || name === 'cache') {
    throw new LabError(
      `lab name "${name}" must be 1 to 20 of a-z, 0-9 and "-", start with a letter, and not be "cache"`,
    )
  }
  if (!Number.isInteger(hosts) || hosts < 1 || hosts > MAX_HOSTS) {
    throw new LabError(`a lab has 1 to ${MAX_HOSTS} hosts, not ${hosts}`)
  }
}

/**
 * The default subnet of a lab, as its first three bytes. Labs never meet on a wire, so two names
 * that hash alike only read alike; nothing breaks.
 */
export function defaultSubnet(name: string): string {
  if (name === DEFAULT_LAB) return '10.77.0'
  return `10.77.${1 + (hash(name) % 254)}`
}

export function hostLayouts(record: LabRecord): readonly HostLayout[] {
  return Array.from({ length: record.hosts }, (_, i) =>
    layout(record, `h${i + 1}`, i + 1, record.engines),
  )
}

export function clientLayout(record: LabRecord): HostLayout {
  return layout(record, CLIENT_HOST, CLIENT_NUMBER, false)
}

/** The switch is a namespace like a host's, with no address and no place on the wire. */
export function switchLayout(record: LabRecord): HostLayout {
  return layout(record, 'sw', 0, false)
}

function layout(record: LabRecord, name: string, number: number, engine: boolean): HostLayout {
  return {
    name,
    address: `${record.subnet}.${number}`,
    prefixLength: 24,
    mac: `02:5e:${hex(hash(record.name) % 256)}:00:00:${hex(number)}`,
    dir: join(labDir(record.name), name),
    cgroup: `${record.name}-${name}`,
    engine,
  }
}

function hash(text: string): number {
  let value = 2166136261
  for (const char of text) value = Math.imul(value ^ char.charCodeAt(0), 16777619) >>> 0
  return value
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0')
}
