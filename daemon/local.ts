// What the command line asks of the node it runs on, over the socket that only the host's administrators may open.
import { NodeRole, TaskState } from '../proto/index.ts'
import type { HandlersOf } from '../proto/service.ts'
import type { Clock } from '../runtime/clock.ts'
import { StatusError, toStatusError } from '../runtime/errors.ts'
import type { DaemonConfig } from './config.ts'
import { notInCluster, type SkeinNode } from './node.ts'
import { receiveAll, sendAll } from './streams.ts'
import { VERSION } from './version.ts'

/** The handlers of service Local. */
export function localHandlers(
  node: SkeinNode,
  { config, clock }: { readonly config: DaemonConfig; readonly clock: Clock },
): HandlersOf<'Local'> {
  return {
    async info() {
      const { membership, error } = node
      const base = { version: VERSION, description: { hostname: config.hostname } }
      if (!membership)
        return { ...base, state: error === undefined ? 'inactive' : 'error', error: error ?? '' }
      const { identity, place, working, managing } = membership
      const status = working?.agent.status()
      const problems = [status?.error ?? '', ...(status?.networkProblems ?? [])].filter(Boolean)
      return {
        ...base,
        state: 'active',
        nodeId: identity.nodeId,
        clusterId: identity.clusterId,
        role: managing ? NodeRole.MANAGER : NodeRole.WORKER,
        description: membership.node?.description ?? base.description,
        address: place.address,
        managers: status?.managers ?? [],
        connected: status?.connected ?? false,
        tasks: status?.tasks.filter(task => task.status?.state === TaskState.RUNNING).length ?? 0,
        error: problems.join('; '),
      }
    },
    init: request => {
      if (request.defaultSubnetSize > 30) {
        throw new StatusError(
          'InvalidArgument',
          `subnet size ${request.defaultSubnetSize}: at most 30`,
        )
      }
      return node.init(request)
    },
    join: request => node.join(request),
    leave: async request => {
      await node.leave(request.force)
      return {}
    },
    backup: ({ stale }, outlet) => {
      const { manager } = managing(node)
      void import('./backup.ts').then(({ backupOf }) =>
        sendAll(backupOf(manager, { stale, clock }), outlet, clock),
      )
    },
    restore: stream => {
      receiveAll(stream)
        .then(({ bytes, first }) => node.restore(bytes, first.advertiseAddress))
        .then(
          ({ restoration, address }) => {
            const { header, identity, objects } = restoration
            const { nodeId } = identity
            stream.send({ ...header, nodeId, address, objects })
            stream.end()
          },
          (error: unknown) => stream.end(toStatusError(error)),
        )
    },
    recover: request => node.recover(request),
  }
}

/** The control API of this node: a manager's, passed on to the leader. @throws StatusError that says whom to ask instead */
export function controlOf(node: SkeinNode): HandlersOf<'Control'> {
  return managing(node).handlers.Control
}

/** As controlOf(), for logs. */
export function logsOf(node: SkeinNode): HandlersOf<'Logs'> {
  return managing(node).handlers.Logs
}

function managing(node: SkeinNode): NonNullable<NonNullable<SkeinNode['membership']>['managing']> {
  const { membership, error } = node
  if (!membership)
    throw error === undefined ? notInCluster() : new StatusError('FailedPrecondition', error)
  if (membership.managing) return membership.managing
  const managers = membership.working?.agent.status().managers.join(', ') || 'none is known'
  throw new StatusError(
    'FailedPrecondition',
    `this node is not a manager; run the command on one (${managers}), or promote this node there: skein node promote`,
  )
}
