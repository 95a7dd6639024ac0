import { StatusError, messageOf } from '../../runtime/errors.ts'
import type {
  ContainerSpec,
  Mount,
  NetworkAttachmentSpec,
  Node,
  Task,
  TaskSpec,
} from '../../proto/index.ts'
import { taskName } from '../model/task.ts'
import { execute } from './evaluate.ts'
import { isTemplate, parseTemplate } from './parser.ts'
import type { TemplateFunction } from './value.ts'

// Swarm's templates in specs and payloads (row EX-19): env values, hostname, mount source, target, labels and driver
// options, secrets and configs with templating driver "golang". A key that does not exist is an error.

/** Functions in every task template, beside the built-in ones. */
const TASK_FUNCTIONS: Readonly<Record<string, TemplateFunction>> = {
  add: (...numbers) =>
    numbers.reduce((sum: number, n) => {
      if (typeof n !== 'number') throw new Error(`${String(n)} is not a number`)
      return sum + n
    }, 0),
}
const TASK_FUNCTION_NAMES = Object.keys(TASK_FUNCTIONS)
const PAYLOAD_FUNCTION_NAMES = [...TASK_FUNCTION_NAMES, 'env', 'secret', 'config']

/** What a payload template may look up, by target (secret, config) or name (env); undefined when there is none. */
export interface PayloadSources {
  secret(target: string): string | undefined
  config(target: string): string | undefined
}

/** What `{{.}}` is: Service, Node and Task with Swarm's fields. */
export function templateData(task: Task, node: Node): unknown {
  return {
    Service: { ID: task.serviceId, Name: task.serviceName, Labels: task.serviceLabels },
    Node: {
      ID: node.id,
      Hostname: node.description?.hostname ?? '',
      Platform: {
        Architecture: node.description?.platform?.architecture ?? '',
        OS: node.description?.platform?.os ?? '',
      },
    },
    // Slot is the node's id for global services, as in Swarm.
    Task: {
      ID: task.id,
      Name: `${taskName(task)}.${task.id}`,
      Slot: task.slot === 0 ? task.nodeId : task.slot,
    },
  }
}

/**
 * Checks that a text parses as a template of a spec, or of a payload.
 * @throws StatusError InvalidArgument `template: …`
 */
export function checkTemplate(text: string, kind: 'spec' | 'payload' = 'spec'): void {
  if (isTemplate(text))
    parseTemplate(text, {
      name: 'expansion',
      functions: kind === 'spec' ? TASK_FUNCTION_NAMES : PAYLOAD_FUNCTION_NAMES,
    })
}

/**
 * The task's spec with every template replaced by its value on `node`.
 * @throws StatusError InvalidArgument naming the field: the task is to be rejected
 */
export function expandTask(task: Task, node: Node): TaskSpec {
  assertSpec(task)
  const data = templateData(task, node)
  const container = task.spec.container
  return container === null
    ? task.spec
    : { ...task.spec, container: expandContainer(container, data) }
}

/**
 * A secret's or config's data with its templates replaced. Texts it draws in are the raw payloads, never expanded again.
 * @throws StatusError InvalidArgument naming `name`: the task is to be rejected
 */
export function expandPayload(
  name: string,
  text: string,
  task: Task,
  node: Node,
  sources: PayloadSources,
): string {
  assertSpec(task)
  const env = new Map<string, string>()
  for (const entry of expandTask(task, node).container?.env ?? []) {
    const at = entry.indexOf('=')
    if (at !== -1) env.set(entry.slice(0, at), entry.slice(at + 1))
  }
  const found = (kind: string, key: unknown, value: string | undefined): string => {
    if (value === undefined) throw new Error(`${kind} target ${String(key)} not found`)
    return value
  }
  const functions = {
    ...TASK_FUNCTIONS,
    env: (key: unknown) => env.get(String(key)) ?? '',
    secret: (key: unknown) => found('secret', key, sources.secret(String(key))),
    config: (key: unknown) => found('config', key, sources.config(String(key))),
  }
  return run(name, text, templateData(task, node), functions)
}

/**
 * The fixed address of a slot: `addresses[slot - 1]`, or the only entry expanded when it is a template such as
 * `172.38.0.1{{.Task.Slot}}`. Undefined when the slot has none and the pool decides.
 * @throws StatusError InvalidArgument when the template fails
 */
export function addressFor(attachment: NetworkAttachmentSpec, slot: number): string | undefined {
  if (slot < 1) return undefined
  const [first] = attachment.addresses
  if (first !== undefined && isTemplate(first))
    return run('addresses', first, { Task: { Slot: slot } }, TASK_FUNCTIONS)
  const address = attachment.addresses[slot - 1]
  return address === '' ? undefined : address
}

function assertSpec(task: Task): asserts task is Task & { readonly spec: TaskSpec } {
  if (task.spec === null) throw new StatusError('InvalidArgument', `task ${task.id} has no spec`)
}

function expandContainer(container: ContainerSpec, data: unknown): ContainerSpec {
  const value = (field: string, text: string): string => run(field, text, data, TASK_FUNCTIONS)
  return {
    ...container,
    hostname: value('hostname', container.hostname),
    env: container.env.map(entry => {
      const at = entry.indexOf('=')
      if (at === -1) return entry
      const key = entry.slice(0, at)
      return `${key}=${value(`env ${key}`, entry.slice(at + 1))}`
    }),
    mounts: container.mounts.map(mount => expandMount(mount, value)),
  }
}

function expandMount(mount: Mount, value: (field: string, text: string) => string): Mount {
  const place = `mount ${mount.target}`
  const values = (map: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
    Object.fromEntries(
      Object.entries(map).map(([key, text]) => [key, value(`${place} ${key}`, text)]),
    )
  return {
    ...mount,
    source: value(`${place} source`, mount.source),
    target: value(`${place} target`, mount.target),
    volumeLabels: values(mount.volumeLabels),
    volumeOptions: values(mount.volumeOptions),
  }
}

function run(
  field: string,
  text: string,
  data: unknown,
  functions: Readonly<Record<string, TemplateFunction>>,
): string {
  if (!isTemplate(text)) return text
  try {
    const template = parseTemplate(text, { name: 'expansion', functions: Object.keys(functions) })
    return execute(template, data, { functions, missingKey: 'error' })
  } catch (error) {
    throw new StatusError('InvalidArgument', `expanding ${field} failed: ${messageOf(error)}`, {
      cause: error,
    })
  }
}
