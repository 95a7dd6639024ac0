import type { Task } from '../../proto/index.ts'
import { labelValue } from '../../services/constraint/match.ts'
import { parseLabelDescriptor } from '../../services/constraint/parse.ts'
import type { NodeInfo } from './node-info.ts'
import { type Rank, RankHeap } from './rank.ts'

interface Branch {
  readonly key: string
  /** Tasks of the service on all nodes of the branch, those that fit no more included. */
  tasks: number
  readonly parent: Branch | undefined
  readonly children: Map<string, Branch>
  /** Nodes with room; leaves only. */
  readonly heap: RankHeap
  /** Nodes with room in the branch. */
  open: number
}

/**
 * The tree of spread preferences (row PL-13): a level a preference, tasks divided equally between the values of a label
 * however many nodes have each; a branch that is full leaves the rest to its siblings. Without preferences it is one leaf.
 */
export class SpreadTree {
  readonly #root: Branch = branch('', undefined)
  readonly #leaves = new Map<string, Branch>()

  /** All nodes, whether they fit or not: the tasks they run count for their branch. */
  constructor(task: Task, nodes: Iterable<NodeInfo>) {
    const levels = (task.spec?.placement?.preferences ?? []).flatMap(
      preference => parseLabelDescriptor(preference.spread) ?? [],
    )
    for (const info of nodes) {
      const count = info.activeOf(task.serviceId)
      let at = this.#root
      at.tasks += count
      for (const { key, label } of levels) {
        const value = labelValue(key, label, info.node)
        const next = at.children.get(value) ?? branch(value, at)
        at.children.set(value, next)
        next.tasks += count
        at = next
      }
      this.#leaves.set(info.node.id, at)
    }
  }

  /** Offers a node that has room. */
  add(rank: Rank): void {
    const leaf = this.#leaves.get(rank.info.node.id)
    leaf?.heap.push(rank)
    for (let at = leaf; at; at = at.parent) at.open += 1
  }

  /** Takes the node for the next task; its branch counts one task more. Offer it again if it still has room. */
  take(): Rank | undefined {
    if (this.#root.open === 0) return undefined
    let at = this.#root
    while (at.children.size > 0) {
      let best: Branch | undefined
      for (const child of at.children.values())
        if (child.open > 0 && (!best || emptier(child, best))) best = child
      if (!best) return undefined
      at = best
    }
    const taken = at.heap.pop()
    for (let up: Branch | undefined = at; up; up = up.parent) {
      up.open -= 1
      up.tasks += 1
    }
    return taken
  }
}

function branch(key: string, parent: Branch | undefined): Branch {
  return { key, tasks: 0, parent, children: new Map(), heap: new RankHeap(), open: 0 }
}

function emptier(a: Branch, b: Branch): boolean {
  return a.tasks < b.tasks || (a.tasks === b.tasks && a.key < b.key)
}
