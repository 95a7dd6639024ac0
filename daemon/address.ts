import type { NetworkInterfaceInfo } from 'node:os'
import { isIPv4 } from 'node:net'
import { StatusError } from '../runtime/errors.ts'

/** What os.networkInterfaces() gives. */
export type Interfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>

/** Devices of engines and overlays: their addresses mean nothing to other hosts. */
const VIRTUAL = /^(lo|docker|br-|ovb|ovx|veth|virbr|cni|flannel|podman)/

/**
 * The address other nodes reach this one at: what the user said (an address or an interface's name), else the host's only
 * candidate.
 *
 * @throws StatusError InvalidArgument naming the candidates when there is no one answer (Swarm rows on --advertise-addr)
 */
export function advertiseAddress(asked: string, interfaces: Interfaces): string {
  const candidates = addressesOf(interfaces)
  if (asked === '') {
    const usable = candidates.filter(candidate => !VIRTUAL.test(candidate.device))
    const [only, second] = usable
    if (only && !second) return only.address
    throw new StatusError(
      'InvalidArgument',
      only
        ? `this host has more than one address (${list(usable)}); say which with --advertise-addr`
        : 'this host has no address that others could reach; give one with --advertise-addr',
    )
  }
  const ofDevice = candidates.filter(candidate => candidate.device === asked)
  const [first, second] = ofDevice
  if (first && !second) return first.address
  if (second) {
    throw new StatusError(
      'InvalidArgument',
      `interface ${asked} has more than one address (${list(ofDevice)}); give one of them with --advertise-addr`,
    )
  }
  const host = asked.replace(/:\d+$/, '')
  if (!isIPv4(host)) {
    throw new StatusError(
      'InvalidArgument',
      `--advertise-addr ${asked} is neither an IPv4 address nor an interface of this host (${list(candidates)})`,
    )
  }
  return host
}

interface Candidate {
  readonly device: string
  readonly address: string
}

function addressesOf(interfaces: Interfaces): readonly Candidate[] {
  return Object.entries(interfaces).flatMap(([device, infos = []]) =>
    infos
      .filter(info => info.family === 'IPv4' && !info.internal)
      .map(info => ({ device, address: info.address })),
  )
}

function list(candidates: readonly Candidate[]): string {
  return (
    candidates.map(({ device, address }) => `${address} on ${device}`).join(', ') || 'it has none'
  )
}
