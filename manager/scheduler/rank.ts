import { FAILURES_MAX, type NodeInfo } from './node-info.ts'

/** What one node offers a service, as numbers that are compared in order; less is better. */
export interface Rank {
  readonly info: NodeInfo
  /** Failures of the service's version here, once they are many (row PL-14). */
  readonly failures: number
  readonly ofService: number
  readonly total: number
  /** Share of CPU or memory in use, whichever is scarcer. */
  readonly load: number
}

/** Ranks a node for a service. The order is total, so that equal states give equal decisions. */
export function rank(info: NodeInfo, serviceId: string, specVersion: number, nowMs: number): Rank {
  const failures = info.failures(serviceId, specVersion, nowMs)
  return {
    info,
    failures: failures >= FAILURES_MAX ? failures : 0,
    ofService: info.activeOf(serviceId),
    total: info.activeTotal,
    load: loadOf(info),
  }
}

/** Rows PL-12, PL-14; then by free capacity, then by id. */
export function better(a: Rank, b: Rank): boolean {
  if (a.failures !== b.failures) return a.failures < b.failures
  if (a.ofService !== b.ofService) return a.ofService < b.ofService
  if (a.total !== b.total) return a.total < b.total
  if (a.load !== b.load) return a.load < b.load
  return a.info.node.id < b.info.node.id
}

function loadOf(info: NodeInfo): number {
  const has = info.node.description?.resources
  const share = (used: number, of: number): number => (of > 0 ? used / of : 0)
  if (!has) return 0
  return Math.max(
    share(has.nanoCpus - info.available.nanoCpus, has.nanoCpus),
    share(has.memoryBytes - info.available.memoryBytes, has.memoryBytes),
  )
}

/** A binary heap of ranks, best first. */
export class RankHeap {
  readonly #items: Rank[] = []

  get size(): number {
    return this.#items.length
  }

  push(item: Rank): void {
    const items = this.#items
    let at = items.length
    items.push(item)
    while (at > 0) {
      const up = (at - 1) >> 1
      const parent = items[up]
      if (!parent || !better(item, parent)) break
      items[at] = parent
      at = up
    }
    items[at] = item
  }

  pop(): Rank | undefined {
    const items = this.#items
    const first = items[0]
    const last = items.pop()
    if (!first || !last || items.length === 0) return first
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      const [a, b] = [items[left], items[left + 1]]
      if (!a) break
      const [child, place] = b && better(b, a) ? [b, left + 1] : [a, left]
      if (!better(child, last)) break
      items[at] = child
      at = place
    }
    items[at] = last
    return first
  }
}
