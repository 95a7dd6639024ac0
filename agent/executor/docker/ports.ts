import { type Port, PortProtocol, PublishMode, type Task } from '../../../proto/index.ts'
import type { PortBody } from './body.ts'

const PROTOCOLS: Readonly<Record<PortProtocol, string>> = {
  [PortProtocol.TCP]: 'tcp',
  [PortProtocol.UDP]: 'udp',
  [PortProtocol.SCTP]: 'sctp',
}

/** Every port the task publishes, as allocated. */
export function publishedPorts(task: Task): readonly Port[] {
  return task.endpoint?.ports ?? []
}

/** `80/tcp` for each published port. */
export function exposedPorts(task: Task): Record<string, object> {
  return Object.fromEntries(publishedPorts(task).map(port => [portKey(port), {}]))
}

/**
 * What the engine binds on the node: every published port, whatever its mode (Swarm row EX-16 for host mode). The
 * scheduler never puts two tasks with one port on a node, see docs/decisions/0005-published-ports-on-the-tasks-node.md.
 */
export function portBindings(task: Task): Record<string, readonly PortBody[]> {
  const bindings: Record<string, PortBody[]> = {}
  for (const port of publishedPorts(task)) {
    const hostPort = port.published === 0 ? '' : String(port.published)
    ;(bindings[portKey(port)] ??= []).push({ HostIp: port.hostIp, HostPort: hostPort })
  }
  return bindings
}

/** The task's host-mode ports with the numbers the engine chose where none was asked for. */
export function boundPorts(
  task: Task,
  engine: Readonly<Record<string, readonly PortBody[] | null>>,
): readonly Port[] {
  return publishedPorts(task)
    .filter(port => port.mode === PublishMode.HOST)
    .flatMap(port => {
      const bound = engine[portKey(port)]?.[0]
      return bound ? [{ ...port, published: Number(bound.HostPort) }] : []
    })
}

function portKey(port: Port): string {
  return `${port.target}/${PROTOCOLS[port.protocol]}`
}
