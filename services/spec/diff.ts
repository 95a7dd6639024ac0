import {
  type Node,
  type Service,
  type ServiceSpec,
  type Task,
  TaskState,
} from '../../proto/index.ts'
import { matchesAll } from '../constraint/match.ts'
import { parseConstraint } from '../constraint/parse.ts'
import { observedState } from '../model/task.ts'
import { equal } from './equal.ts'

/**
 * Whether the task must be replaced to be what the service now says (row UP-02). Labels, replicas and update policy never
 * replace a task. A change of placement alone does not when `node`, the task's, still satisfies the constraints. A
 * change of pull options does not while the task is at or past its pull.
 */
export function isDirty(task: Task, service: Service, node?: Node): boolean {
  if (task.specVersion !== 0 && task.specVersion === (service.meta?.specVersion ?? 0)) return false
  const wanted = service.spec?.task ?? null
  if (task.spec === null || wanted === null) return task.spec !== wanted
  if (task.endpoint !== null && !sameEndpoint(task, service)) return true
  let have = task.spec
  if (isPastPull(task) && have.container !== null && wanted.container !== null)
    have = { ...have, container: { ...have.container, pull: wanted.container.pull } }
  if (node !== undefined && !equal(have.placement, wanted.placement)) {
    const constraints = wanted.placement?.constraints ?? []
    if (matchesAll(constraints.map(parseConstraint), node))
      have = { ...have, placement: wanted.placement }
  }
  return !equal(have, wanted)
}

function sameEndpoint(task: Task, service: Service): boolean {
  const [have, want] = [task.endpoint?.spec ?? null, service.spec?.endpoint ?? null]
  const none = { mode: 0, ports: [] }
  return equal(have ?? none, want ?? none)
}

function isPastPull(task: Task): boolean {
  const state = observedState(task)
  return (
    state >= TaskState.READY && state <= TaskState.RUNNING && task.desiredState <= TaskState.RUNNING
  )
}

/** One field that differs between two specs; `undefined` where there is none. */
export interface SpecChange {
  /** `task.container.env[2]` */
  readonly path: string
  readonly before: unknown
  readonly after: unknown
}

/** Field by field, in the order of the fields. Credentials are never shown. */
export function diffSpecs(before: ServiceSpec, after: ServiceSpec): readonly SpecChange[] {
  const changes: SpecChange[] = []
  collect('', before, after, changes)
  return changes
}

/** A change as people read it: `task.container.image: nginx:1 → nginx:2`. */
export function describeChange({ path, before, after }: SpecChange): string {
  if (before === undefined || before === null) return `${path}: + ${show(after)}`
  if (after === undefined || after === null) return `${path}: - ${show(before)}`
  return `${path}: ${show(before)} → ${show(after)}`
}

/** Whether going from one spec to the other replaces running tasks (placement may yet be satisfied where they are). */
export function replacesTasks(before: ServiceSpec, after: ServiceSpec): boolean {
  return !equal(before.task, after.task) || !equal(before.endpoint, after.endpoint)
}

function collect(path: string, before: unknown, after: unknown, changes: SpecChange[]): void {
  if (equal(before, after)) return
  if (path.endsWith('.registryAuth')) {
    changes.push({ path, before: '(hidden)', after: '(changed)' })
    return
  }
  if (
    !isContainer(before) ||
    !isContainer(after) ||
    Array.isArray(before) !== Array.isArray(after)
  ) {
    changes.push({ path, before: hide(before), after: hide(after) })
    return
  }
  for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
    const step = Array.isArray(before) ? `[${key}]` : path === '' ? key : `.${key}`
    collect(`${path}${step}`, before[key], after[key], changes)
  }
}

function isContainer(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null
}

function hide(value: unknown): unknown {
  if (!isContainer(value) || Array.isArray(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [
      key,
      key === 'registryAuth' && item !== '' ? '(hidden)' : hide(item),
    ]),
  )
}

function show(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
