import { type Node, type Task, TaskState } from '../../proto/index.ts'
import { observedState, stateName, taskName } from '../../services/model/task.ts'
import { type Filters, matchExact, matchPrefix } from '../filters.ts'
import { ago } from '../output/ago.ts'
import type { Field } from '../output/list.ts'
import { ellipsis } from '../output/table.ts'
import { newestFirst } from '../wait/view.ts'
import { NodeNames, shortId } from './lookup.ts'
import { taskPortsText } from '../../services/format/ports.ts'
import { capital, taskStateText } from './words.ts'

export const TASK_FILTERS = ['id', 'name', 'node', 'desired-state'] as const
const ERROR_MAX = 30

/** A task in a listing, with what its neighbours decide. */
export interface TaskRow {
  readonly task: Task
  /** ` \_ web.1` for all but the newest task of a slot. */
  readonly name: string
  readonly node: string
  readonly currentState: string
  readonly error: string
}

/**
 * Tasks as `service ps` lists them: by name, newest first, history marked (swarm row SF-60). A task on a node nobody
 * hears from is shown as lost: what it last said is no longer known to be true.
 */
export function taskRows(
  tasks: readonly Task[],
  nodes: readonly Node[],
  filters: Filters,
  nowMs: number,
): readonly TaskRow[] {
  const names = new NodeNames(nodes)
  const byId = new Map(nodes.map(node => [node.id, node]))
  const shown = tasks
    .filter(task => isWanted(task, names, filters))
    .map(task => ({ task, base: displayName(task, names) }))
    .toSorted((a, b) => natural(a.base, b.base) || newestFirst(a.task, b.task))
  return shown.map(({ task, base }, index) => {
    const isHistory = shown[index - 1]?.base === base
    const lost = isLost(task, names) ? byId.get(task.nodeId) : undefined
    const isUnknown = isLost(task, names)
    const sinceMs = lost?.status?.sinceMs ?? 0
    return {
      task,
      name: isHistory ? ` \\_ ${base}` : base,
      node: names.of(task.nodeId),
      currentState: isUnknown
        ? stateAgo('Lost', sinceMs, nowMs)
        : stateAgo(taskStateText(observedState(task)), task.status?.observedAtMs ?? 0, nowMs),
      error: task.status?.error || (isUnknown ? `node ${names.of(task.nodeId)} is down` : ''),
    }
  })
}

/** The columns of `service ps`, `node ps` and `stack ps`. */
export function taskFields(noTrunc: boolean): readonly Field<TaskRow>[] {
  return [
    { name: 'ID', header: 'ID', value: row => shortId(row.task.id, noTrunc) },
    { name: 'Name', header: 'NAME', value: row => row.name },
    {
      name: 'Image',
      header: 'IMAGE',
      value: row => imageText(row.task.spec?.container?.image ?? '', noTrunc),
    },
    { name: 'Node', header: 'NODE', value: row => row.node },
    {
      name: 'DesiredState',
      header: 'DESIRED STATE',
      value: row => capital(stateName(row.task.desiredState)),
    },
    { name: 'CurrentState', header: 'CURRENT STATE', value: row => row.currentState },
    { name: 'Error', header: 'ERROR', value: row => errorText(row.error, noTrunc) },
    { name: 'Ports', header: 'PORTS', value: row => taskPortsText(row.task.status?.ports ?? []) },
  ]
}

/** An image without the digest it was pinned to, as listings show it. */
export function imageText(image: string, noTrunc = false): string {
  if (noTrunc) return image
  const at = image.indexOf('@sha256:')
  return at > 0 && /:[^/]+$/.test(image.slice(0, at)) ? image.slice(0, at) : image
}

function errorText(error: string, noTrunc: boolean): string {
  if (error === '') return ''
  return `"${noTrunc ? error : ellipsis(error.replaceAll('\n', ' '), ERROR_MAX)}"`
}

function stateAgo(state: string, atMs: number, nowMs: number): string {
  const when = ago(atMs, nowMs)
  return when === '' ? state : `${state} ${when.charAt(0).toLowerCase()}${when.slice(1)}`
}

function displayName(task: Task, names: NodeNames): string {
  return task.slot === 0 && task.containerWorkloadId === '' && task.jobIteration === 0
    ? `${task.serviceName}.${names.of(task.nodeId) || shortId(task.id)}`
    : taskName(task)
}

function isLost(task: Task, names: NodeNames): boolean {
  const state = observedState(task)
  return state >= TaskState.ASSIGNED && state <= TaskState.RUNNING && names.isLost(task.nodeId)
}

/** `desired-state=running` means whatever is to run, as docker has it: also tasks that wait for their start. */
function isWanted(task: Task, names: NodeNames, filters: Filters): boolean {
  const desired = stateName(task.desiredState)
  const states = filters.get('desired-state')
  const isLive = task.desiredState <= TaskState.COMPLETE
  const desiredOk =
    states === undefined ||
    states.some(
      state => state === desired || (state === 'running' && desired === 'ready' && isLive),
    )
  return (
    desiredOk &&
    matchPrefix(filters, 'id', task.id) &&
    matchPrefix(filters, 'name', taskName(task)) &&
    (matchExact(filters, 'node', names.of(task.nodeId)) ||
      matchPrefix(filters, 'node', task.nodeId))
  )
}

/** Compares names so that web.2 comes before web.10. */
export function natural(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}
