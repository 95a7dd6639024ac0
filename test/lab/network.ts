// The wire between hosts: one bridge in a namespace of its own, so that neither the root namespace's
// firewall nor its br_netfilter ever sees a frame of the lab.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { enter } from './holder.ts'
import {
  type HostLayout,
  type LabRecord,
  clientLayout,
  hostLayouts,
  labDir,
  switchLayout,
} from './layout.ts'
import { runOk } from './run.ts'

/** A cut between two hosts, or, without `b`, between one host and all others. */
export interface Cut {
  readonly a: string
  readonly b?: string
  /** Only what goes from `a` to `b` is dropped, or what leaves `a`. */
  readonly oneWay?: boolean
}

/** Makes the bridge, in the switch that is on already. */
export async function buildSwitch(sw: HostLayout): Promise<void> {
  const script = `ip link add br0 type bridge forward_delay 0 mcast_snooping 0
ip link set br0 up
for file in /proc/sys/net/bridge/bridge-nf-call-*; do [ ! -f "$file" ] || echo 0 > "$file"; done`
  await runOk(enter(sw, ['sh', '-ec', script], '/'))
}

/** Connects a host that is on: its eth0 gets its address, and a port of the same name on the bridge. */
export async function plugIn(sw: HostLayout, host: HostLayout, holderPid: number): Promise<void> {
  const cable = `link add ${host.name} type veth peer name eth0 address ${host.mac} netns ${holderPid}
link set ${host.name} master br0
link set ${host.name} up
`
  await runOk(enter(sw, ['ip', '-batch', '-'], '/'), { input: cable })
  const card = `addr add ${host.address}/${host.prefixLength} brd + dev eth0
link set eth0 up
`
  await runOk(enter(host, ['ip', '-batch', '-'], '/'), { input: card })
}

/** Cuts a host's cable at the switch: nothing more leaves it, not even the FINs of dying processes. */
export async function cutCable(sw: HostLayout, host: HostLayout): Promise<void> {
  await runOk(enter(sw, ['sh', '-c', 'ip link set "$0" down 2>/dev/null || true', host.name], '/'))
}

/** Takes the cable away; the other end goes with it. */
export async function unplug(sw: HostLayout, host: HostLayout): Promise<void> {
  await runOk(enter(sw, ['sh', '-c', 'ip link del "$0" 2>/dev/null || true', host.name], '/'))
}

/** The switch's filter for a set of cuts, as an nft script. Drops whole frames, ARP and IPv6 included. */
export function partitionRules(cuts: readonly Cut[]): string {
  const rules = cuts.flatMap(({ a, b, oneWay }) => {
    const [there, back] =
      b === undefined
        ? [`iifname "${a}" drop`, `oifname "${a}" drop`]
        : [`iifname "${a}" oifname "${b}" drop`, `iifname "${b}" oifname "${a}" drop`]
    return oneWay ? [there] : [there, back]
  })
  return `table bridge partition
delete table bridge partition
table bridge partition {
  chain forward {
    type filter hook forward priority 0; policy accept;
${rules.map(rule => `    ${rule}\n`).join('')}  }
}
`
}

export async function applyCuts(record: LabRecord, cuts: readonly Cut[]): Promise<void> {
  await runOk(enter(switchLayout(record), ['nft', '-f', '-'], '/'), { input: partitionRules(cuts) })
  writeFileSync(cutsFile(record), JSON.stringify(cuts))
}

export function currentCuts(record: LabRecord): readonly Cut[] {
  try {
    return JSON.parse(readFileSync(cutsFile(record), 'utf8')) as Cut[]
  } catch {
    return []
  }
}

/** What every host finds in /etc/hosts. */
export function hostsFile(record: LabRecord): string {
  const lines = [...hostLayouts(record), clientLayout(record)].map(h => `${h.address} ${h.name}`)
  return ['127.0.0.1 localhost', '::1 localhost ip6-localhost', ...lines, ''].join('\n')
}

function cutsFile(record: LabRecord): string {
  return join(labDir(record.name), 'partitions.json')
}
