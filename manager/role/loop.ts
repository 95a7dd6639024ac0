import { NodeRole } from '../../proto/index.ts'
import { messageOf } from '../../runtime/errors.ts'
import { Loop } from '../../runtime/loop.ts'
import type { LeaderDeps, LeaderLoop } from '../loop.ts'
import type { ReadTx } from '../state/store/types.ts'
import { reconcileRoles, type MemberView, type RoleChange } from './reconcile.ts'

/** The Raft group, as far as roles concern it. */
export interface RaftGroup {
  members(): readonly MemberView[]
  remove(memberId: number): Promise<void>
  transferLeadership(): Promise<void>
}

const UNREACHABLE_AFTER_MS = 3_000
const PERIOD_MS = 1_000

/**
 * Keeps the Raft group and the nodes' manager status equal to what the roles say. Node roles change by promote and
 * demote; a node removed from the cluster is refused there while it is a manager.
 */
export class RoleLoop implements LeaderLoop {
  readonly name = 'role'
  readonly #deps: LeaderDeps
  readonly #group: RaftGroup
  readonly #loop: Loop
  #unwatch: (() => void) | undefined

  constructor(deps: LeaderDeps, group: RaftGroup) {
    this.#deps = deps
    this.#group = group
    this.#loop = new Loop({
      ...deps,
      name: this.name,
      everyMs: PERIOD_MS,
      pass: () => this.#pass(),
    })
  }

  start(): void {
    this.#unwatch = this.#deps.store.watch(batch => {
      if (batch.reset || batch.changes.some(change => change.kind === 'node')) this.#loop.trigger()
    })
    this.#loop.trigger()
  }

  async stop(): Promise<void> {
    this.#unwatch?.()
    await this.#loop.stop()
  }

  async #pass(): Promise<void> {
    const changes = this.#deps.store.view(tx => this.#decide(tx))
    for (const change of changes) await this.#apply(change)
  }

  #decide(tx: ReadTx): readonly RoleChange[] {
    const nodes = tx.list('node')
    return reconcileRoles({
      nodes,
      members: this.#group.members(),
      memberOf: new Map(
        nodes.flatMap(node => (node.manager ? [[node.id, node.manager.raftId]] : [])),
      ),
      unreachableAfterMs: UNREACHABLE_AFTER_MS,
    })
  }

  async #apply(change: RoleChange): Promise<void> {
    const { store, log } = this.#deps
    switch (change.kind) {
      case 'remove':
        log.info('removing a member from the Raft group', { member: change.memberId })
        return this.#group.remove(change.memberId)
      case 'transfer':
        log.info('handing over leadership: this node is being demoted')
        return this.#group
          .transferLeadership()
          .catch(error => log.warn('leadership was not handed over', { error: messageOf(error) }))
      case 'status':
        await store.update(
          tx => {
            const node = tx.get('node', change.nodeId)
            if (!node) return
            const role = change.manager ? NodeRole.MANAGER : node.role
            tx.update('node', { ...node, manager: change.manager, role })
          },
          { author: 'loop:role', ownUse: true },
        )
    }
  }
}
