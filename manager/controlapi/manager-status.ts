import type { ManagerFacts, ManagerReport } from '../../proto/index.ts'
import { StatusError, messageOf } from '../../runtime/errors.ts'
import type { ControlDeps, RaftPeer, RaftStatus } from './deps.ts'

export interface GroupStatus extends RaftStatus {
  /** Of the manager that was asked. */
  readonly facts: ManagerFacts
  /** Of all members, when asked for. */
  readonly managers: readonly ManagerReport[]
}

/**
 * Raft as this manager sees it, from its own memory: it answers without a leader and without a quorum. With `all` it
 * also asks every other member what it knows of itself; who does not answer is listed with the reason.
 *
 * @throws StatusError FailedPrecondition when the state is not kept in Raft
 */
export async function getManagerStatus(
  deps: Pick<ControlDeps, 'store' | 'raft'>,
  request: { readonly all: boolean },
): Promise<GroupStatus> {
  const { raft } = deps
  if (!raft) {
    throw new StatusError('FailedPrecondition', 'this cluster does not keep its state in Raft')
  }
  const status = raft.status()
  const facts = await raft.facts()
  if (!request.all) return { ...status, facts, managers: [] }
  const nodes = new Map(
    deps.store
      .view(tx => tx.list('node'))
      .flatMap(node => (node.manager ? [[node.manager.raftId, node] as const] : [])),
  )
  const report = async ({ raftId, address, learner }: RaftPeer): Promise<ManagerReport> => {
    const node = nodes.get(raftId)
    const who = {
      raftId,
      address,
      learner,
      nodeId: node?.id ?? '',
      hostname: node?.description?.hostname ?? '',
    }
    try {
      const own = raftId === status.raftId ? facts : await raft.ask(address)
      return { ...who, facts: own, error: '' }
    } catch (error) {
      return { ...who, facts: null, error: messageOf(error) }
    }
  }
  return { ...status, facts, managers: await Promise.all(status.peers.map(report)) }
}
