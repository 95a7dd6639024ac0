import {
  type Explanation,
  NodeAvailability,
  type NodeVerdict,
  type Task,
} from '../../proto/index.ts'
import type { Addresses } from '../allocator/addresses.ts'
import type { ReadTx } from '../state/store/types.ts'
import { ClusterView } from './cluster-view.ts'
import { type Filter, filtersFor } from './filters.ts'
import { NodeInfo } from './node-info.ts'

/** Nodes named in a reason at most. */
const NAMES_MAX = 3
const SUGGESTIONS_MAX = 3

/** Every filter on every node for one task, from a state of its own: for people who ask (ExplainTask). */
export function explain(task: Task, state: ReadTx): Explanation {
  const view = ClusterView.of(state)
  view.removeTask(task.id)
  return explainOn(task, view)
}

/**
 * Why the task fits nowhere, or where it fits (row PL-15). `nodesMax` bounds the verdicts that are kept; the summary
 * counts all nodes.
 */
export function explainOn(
  task: Task,
  view: ClusterView,
  options: { readonly addresses?: Addresses; readonly nodesMax?: number } = {},
): Explanation {
  const filters = filtersFor(task, view, options.addresses)
  const candidates =
    task.nodeId === ''
      ? [...view.nodes.values()]
      : [...view.nodes.values()].filter(info => info.node.id === task.nodeId)
  const verdicts = candidates.map(info => verdictOf(info, filters))
  const refused = firstRefusals(candidates, filters)
  const reasons = refused.map(({ filter, infos }) => reasonText(filter, infos))
  const fitting = verdicts.filter(verdict => verdict.fits).length
  const summary =
    fitting > 0
      ? `fits on ${fitting} of ${candidates.length} nodes`
      : `no suitable node (${reasons.join('; ') || emptyText(task)})`
  return {
    summary,
    nodes: verdicts.slice(0, options.nodesMax ?? Infinity),
    suggestions: fitting > 0 ? [] : suggestions(task, view, candidates, filters),
    rootCause: fitting > 0 ? '' : (refused[0]?.filter.name ?? 'no-nodes'),
  }
}

function emptyText(task: Task): string {
  return task.nodeId === '' ? 'the cluster has no nodes' : 'its node was removed'
}

function verdictOf(info: NodeInfo, filters: readonly Filter[]): NodeVerdict {
  const failures = filters.flatMap(filter => {
    const reason = filter.check(info)
    return reason === undefined ? [] : [{ filter: filter.name, reason }]
  })
  return {
    nodeId: info.node.id,
    hostname: info.hostname,
    fits: failures.length === 0,
    failures,
  }
}

/** Each node under the first filter that refuses it; the filter with most nodes first. */
function firstRefusals(
  nodes: readonly NodeInfo[],
  filters: readonly Filter[],
): readonly { filter: Filter; infos: readonly NodeInfo[] }[] {
  const refused = new Map<Filter, NodeInfo[]>()
  for (const info of nodes) {
    const filter = filters.find(candidate => candidate.check(info) !== undefined)
    if (filter) refused.set(filter, [...(refused.get(filter) ?? []), info])
  }
  return [...refused]
    .map(([filter, infos]) => ({ filter, infos }))
    .sort((a, b) => b.infos.length - a.infos.length)
}

function reasonText(filter: Filter, infos: readonly NodeInfo[]): string {
  const text = filter.explain(infos.length)
  if (filter.everywhere || infos.length > NAMES_MAX) return text
  return `${text}: ${infos.map(info => info.hostname).join(', ')}`
}

/** Commands that would make room, each tried on a copy of its node. */
function suggestions(
  task: Task,
  view: ClusterView,
  nodes: readonly NodeInfo[],
  filters: readonly Filter[],
): readonly string[] {
  const found: string[] = []
  for (const info of nodes) {
    if (found.length >= SUGGESTIONS_MAX) break
    const { node } = info
    if (node.spec && node.spec.availability !== NodeAvailability.ACTIVE) {
      const spec = { ...node.spec, availability: NodeAvailability.ACTIVE }
      if (fitsAfter(view, info, { ...node, spec }, filters))
        found.push(`skein node update --availability active ${info.hostname}`)
    }
    for (const label of missingLabels(task)) {
      if (!node.spec?.annotations) continue
      const labels = { ...node.spec.annotations.labels, [label.key]: label.value }
      const spec = { ...node.spec, annotations: { ...node.spec.annotations, labels } }
      if (fitsAfter(view, info, { ...node, spec }, filters))
        found.push(`skein node update --label-add ${label.key}=${label.value} ${info.hostname}`)
    }
  }
  return found.slice(0, SUGGESTIONS_MAX)
}

function fitsAfter(
  view: ClusterView,
  info: NodeInfo,
  changed: NodeInfo['node'],
  filters: readonly Filter[],
): boolean {
  if (filters.every(filter => filter.check(info) === undefined)) return false
  const copy = new NodeInfo(changed)
  for (const other of view.tasks()) if (other.nodeId === changed.id) copy.put(other)
  return filters.every(filter => filter.check(copy) === undefined)
}

function missingLabels(task: Task): readonly { key: string; value: string }[] {
  return (task.spec?.placement?.constraints ?? []).flatMap(text => {
    const match = /^\s*node\.labels\.(\S+?)\s*==\s*(.+?)\s*$/.exec(text)
    return match ? [{ key: match[1] ?? '', value: match[2] ?? '' }] : []
  })
}
