import { NodeRole, NodeState, TaskState, type Node, type NodeSpec } from '../../proto/index.ts'
import type { Caller } from '../../proto/service.ts'
import { StatusError } from '../../runtime/errors.ts'
import { isTerminal, observedState } from '../../services/model/task.ts'
import { validateNode } from '../../services/spec/validate.ts'
import { describe } from '../state/store/kinds.ts'
import type { ReadTx, Tx } from '../state/store/types.ts'
import type { ControlDeps } from './deps.ts'
import { checkQuorumWithout, otherManagers } from './quorum.ts'
import { checkSequence, committed, requireSpec } from './sequence.ts'

/** A removed node's certificate stays refused this long after it has expired (Swarm row SE-05). */
const REVOKED_MARGIN_MS = 7 * 24 * 3_600_000
/** How long a leaving manager waits to be taken out of the Raft group. */
const LEAVE_MS = 10_000

/** "self" is the node through which the call came in. */
function resolveNode(tx: ReadTx, reference: string, self: string): Node {
  return tx.resolve('node', reference === 'self' ? self : reference)
}

function selfOf(deps: ControlDeps, caller: Caller): string {
  return caller.nodeId || deps.nodeId()
}

export async function getNode(
  deps: ControlDeps,
  request: { readonly id: string },
  caller: Caller,
): Promise<{ node: Node }> {
  const self = selfOf(deps, caller)
  return { node: deps.store.view(tx => resolveNode(tx, request.id, self)) }
}

export async function listNodes(
  deps: ControlDeps,
  caller: Caller,
): Promise<{ nodes: readonly Node[]; self: string }> {
  return { nodes: deps.store.view(tx => tx.list('node')), self: selfOf(deps, caller) }
}

/** Labels, availability, desired role. The role takes effect when the node has renewed its certificate. */
export async function updateNode(
  deps: ControlDeps,
  request: { readonly id: string; readonly specVersion: number; readonly spec: NodeSpec | null },
  caller: Caller,
): Promise<{ node: Node }> {
  const spec = requireSpec(request.spec, 'node update')
  const self = selfOf(deps, caller)
  const id = await deps.store.update(
    tx => {
      const node = resolveNode(tx, request.id, self)
      checkSequence('node', node, request.specVersion)
      validateNode(spec, node.description?.hostname || node.id)
      const demoted = node.spec?.role === NodeRole.MANAGER && spec.role === NodeRole.WORKER
      if (demoted) checkQuorumWithout(node, tx.list('node'))
      tx.update('node', { ...node, spec }, { spec: true })
      return node.id
    },
    { author: caller.nodeId },
  )
  return {
    node: committed(
      deps.store.view(tx => tx.get('node', id)),
      `node ${request.id}`,
    ),
  }
}

/**
 * Forgets a node: its certificate is refused from now on and its tasks are given up (Swarm row CL-32).
 * @throws StatusError FailedPrecondition for a manager, and for a node that is not down unless `force`
 */
export async function removeNode(
  deps: ControlDeps,
  request: { readonly id: string; readonly force: boolean },
  caller: Caller,
): Promise<object> {
  const nowMs = deps.clock.now()
  await deps.store.update(
    tx => {
      const node = resolveNode(tx, request.id, selfOf(deps, caller))
      const name = describe('node', node)
      if (node.manager || node.spec?.role === NodeRole.MANAGER) {
        throw new StatusError(
          'FailedPrecondition',
          `${name} is a manager; demote it before it is removed: skein node demote ${node.description?.hostname || node.id}`,
        )
      }
      const state = node.status?.state ?? NodeState.UNKNOWN
      const mayBeAlive = state === NodeState.NODE_READY || state === NodeState.SUSPECT
      if (mayBeAlive && !request.force) {
        throw new StatusError(
          'FailedPrecondition',
          `${name} is not down and is not removed; stop it, let it leave with: skein swarm leave, or use --force`,
        )
      }
      revoke(tx, node, nowMs)
      orphanTasks(tx, node, nowMs)
      tx.delete('node', node.id)
    },
    { author: caller.nodeId },
  )
  return {}
}

function revoke(tx: Tx, node: Node, nowMs: number): void {
  const cluster = tx.cluster()
  const expiresAtMs = Math.max(node.certificateExpiresAtMs, nowMs) + REVOKED_MARGIN_MS
  const revoked = cluster.revoked.filter(
    entry => entry.expiresAtMs > nowMs && entry.nodeId !== node.id,
  )
  tx.update('cluster', { ...cluster, revoked: [...revoked, { nodeId: node.id, expiresAtMs }] })
}

function orphanTasks(tx: Tx, node: Node, nowMs: number): void {
  for (const task of tx.tasksOnNode(node.id)) {
    if (isTerminal(observedState(task)) || !task.status) continue
    const status = {
      ...task.status,
      state: TaskState.ORPHANED,
      message: `${describe('node', node)} was removed from the cluster`,
      observedAtMs: nowMs,
      appliedAtMs: nowMs,
    }
    tx.update('task', { ...task, status })
  }
}

/**
 * A node leaves by itself. A manager first becomes a worker, which takes it out of the Raft group; without `force` it is
 * refused when that would harm the others. The node stays in the list as down until it is removed (Swarm row CL-25).
 */
export async function leaveCluster(
  deps: ControlDeps,
  request: { readonly force: boolean },
  caller: Caller,
): Promise<object> {
  const id = selfOf(deps, caller)
  const nowMs = deps.clock.now()
  const { node: leaving, nodes } = deps.store.view(tx => ({
    node: tx.resolve('node', id),
    nodes: tx.list('node'),
  }))
  // With the last manager the cluster itself goes: there is nobody left to be told.
  if (request.force && otherManagers(leaving, nodes).length === 0) return {}
  await deps.store.update(
    tx => {
      const node = tx.resolve('node', id)
      const isManager = node.spec?.role === NodeRole.MANAGER
      if (isManager && !request.force) checkQuorumWithout(node, tx.list('node'))
      const status = {
        state: NodeState.DOWN,
        message: 'left the cluster',
        address: node.status?.address ?? '',
        sinceMs: nowMs,
        observedAtMs: nowMs,
      }
      const spec = node.spec && { ...node.spec, role: NodeRole.WORKER }
      tx.update('node', { ...node, status, spec }, { spec: isManager })
    },
    { author: id },
  )
  await outOfGroup(deps, id)
  return {}
}

/** Resolves when the node is no member of the Raft group any more, after LEAVE_MS at the latest. */
function outOfGroup(deps: ControlDeps, id: string): Promise<void> {
  const isOut = (): boolean => deps.store.view(tx => !tx.get('node', id)?.manager)
  if (isOut()) return Promise.resolve()
  return new Promise(resolve => {
    const done = (): void => {
      cancelTimer()
      cancelWatch()
      resolve()
    }
    const cancelTimer = deps.clock.after(LEAVE_MS, done)
    const cancelWatch = deps.store.watch(() => {
      if (isOut()) done()
    })
  })
}
