import { type Port, PortProtocol, PublishMode } from '../../proto/index.ts'

const PROTOCOLS: Readonly<Record<PortProtocol, string>> = {
  [PortProtocol.TCP]: 'tcp',
  [PortProtocol.UDP]: 'udp',
  [PortProtocol.SCTP]: 'sctp',
}

/** `tcp`, `udp`, `sctp`. */
export function protocolName(protocol: PortProtocol): string {
  return PROTOCOLS[protocol] ?? `protocol-${protocol}`
}

/** The protocol of a name in any case; undefined for one nobody knows. */
export function protocolFromName(name: string): PortProtocol | undefined {
  const known = [PortProtocol.TCP, PortProtocol.UDP, PortProtocol.SCTP]
  return known.find(protocol => PROTOCOLS[protocol] === name.toLowerCase())
}

/** One port as `docker service ls` shows it: `*:8080->80/tcp`; a port not yet chosen is left out: `*->80/tcp`. */
export function portText(port: Port): string {
  const host = port.hostIp === '' ? '*' : port.hostIp
  const published = port.published === 0 ? '' : `:${port.published}`
  return `${host}${published}->${port.target}/${protocolName(port.protocol)}`
}

/**
 * Ports of a service as `docker service ls` shows them (row SF-59): ports every node publishes, neighbours joined to
 * ranges, `*:8080-8082->80-82/tcp, *:53->53/udp`. Host-mode ports are a task's own and shown by `service ps`.
 */
export function servicePortsText(ports: readonly Port[]): string {
  return joined(ports.filter(port => port.mode !== PublishMode.HOST))
}

/** Ports of a task: all of them, `*:8080->80/tcp`. */
export function taskPortsText(ports: readonly Port[]): string {
  return joined(ports)
}

function joined(ports: readonly Port[]): string {
  const sorted = ports.toSorted(
    (a, b) => a.protocol - b.protocol || a.target - b.target || a.published - b.published,
  )
  const runs: Port[][] = []
  for (const port of sorted) {
    const run = runs.at(-1)
    const last = run?.at(-1)
    if (run !== undefined && last !== undefined && follows(last, port)) run.push(port)
    else runs.push([port])
  }
  return runs.map(runText).join(', ')
}

function follows(last: Port, port: Port): boolean {
  return (
    port.protocol === last.protocol &&
    port.hostIp === last.hostIp &&
    port.target === last.target + 1 &&
    last.published !== 0 &&
    port.published === last.published + 1
  )
}

function runText(run: readonly Port[]): string {
  const [first, last] = [run[0], run.at(-1)]
  if (first === undefined || last === undefined) return ''
  if (first === last) return portText(first)
  const host = first.hostIp === '' ? '*' : first.hostIp
  const protocol = protocolName(first.protocol)
  return `${host}:${first.published}-${last.published}->${first.target}-${last.target}/${protocol}`
}
