import { make } from '../../proto/codec.ts'
import {
  type ContainerSpec,
  RestartCondition,
  type RestartPolicy,
  type ServiceSpec,
  type ServiceSpecInit,
  type TaskSpec,
  type TaskSpecInit,
  type UpdateConfig,
  v1,
} from '../../proto/index.ts'

// Swarm's defaults (row SV-24). Where a whole block is absent it gets the defaults; in a block that is there only the
// fields the user left out are filled, and only while they can still be told from zero, that is before the spec was
// sent: run withDefaults() on what the user wrote.

export const STOP_GRACE_MS = 10_000
export const RESTART_DELAY_MS = 5000
export const MONITOR_MS = 5000
/** Mode of secret and config files: readable by everyone in the container. */
export const FILE_MODE = 0o444

/**
 * A complete spec: mode, stop grace, restart, update and rollback policies, file targets. Calling it again changes
 * nothing. Jobs get no update policy (row SV-12).
 */
export function withDefaults(init: ServiceSpecInit | ServiceSpec): ServiceSpec {
  const given = init as ServiceSpecInit
  const spec = make(v1.ServiceSpec, given)
  const { replicated, global, replicatedJob, globalJob, mode: _mode, ...rest } = spec
  const isJob = replicatedJob !== undefined || globalJob !== undefined
  const completed = {
    ...rest,
    annotations: spec.annotations ?? { name: '', labels: {} },
    task: taskWithDefaults(given.task ?? {}),
    endpoint: spec.endpoint ?? make(v1.EndpointSpec, {}),
    update: isJob ? spec.update : updateWithDefaults(spec.update, given.update),
    rollback: isJob ? spec.rollback : updateWithDefaults(spec.rollback, given.rollback),
  }
  if (global !== undefined) return { ...completed, mode: 'global', global }
  if (globalJob !== undefined) return { ...completed, mode: 'globalJob', globalJob }
  if (replicatedJob !== undefined) {
    const maxConcurrent = replicatedJob.maxConcurrent || 1
    const totalCompletions = replicatedJob.totalCompletions || maxConcurrent
    return {
      ...completed,
      mode: 'replicatedJob',
      replicatedJob: { maxConcurrent, totalCompletions },
    }
  }
  const replicas = given.replicated?.replicas === undefined ? 1 : (replicated?.replicas ?? 1)
  return { ...completed, mode: 'replicated', replicated: { replicas } }
}

/** A complete task spec, for services and for containers run by name. */
export function taskWithDefaults(init: TaskSpecInit | TaskSpec): TaskSpec {
  const given = init as TaskSpecInit
  const task = make(v1.TaskSpec, given)
  return {
    ...task,
    container: containerWithDefaults(task.container ?? make(v1.ContainerSpec, {}), given),
    restart: restartWithDefaults(task.restart, given),
  }
}

/** The policy of a service that asked for none: one at a time, stop first, pause on failure. */
export function defaultUpdate(): UpdateConfig {
  return make(v1.UpdateConfig, { parallelism: 1, monitorMs: MONITOR_MS })
}

function updateWithDefaults(
  config: UpdateConfig | null,
  given: ServiceSpecInit['update'],
): UpdateConfig {
  if (config === null) return defaultUpdate()
  return given?.monitorMs === undefined ? { ...config, monitorMs: MONITOR_MS } : config
}

function restartWithDefaults(restart: RestartPolicy | null, given: TaskSpecInit): RestartPolicy {
  if (restart === null)
    return make(v1.RestartPolicy, { condition: RestartCondition.ANY, delayMs: RESTART_DELAY_MS })
  return given.restart?.delayMs === undefined ? { ...restart, delayMs: RESTART_DELAY_MS } : restart
}

function containerWithDefaults(container: ContainerSpec, given: TaskSpecInit): ContainerSpec {
  const secrets = given.container?.secrets ?? []
  const configs = given.container?.configs ?? []
  return {
    ...container,
    stopGraceMs: container.stopGraceMs ?? STOP_GRACE_MS,
    secrets: container.secrets.map((reference, i) => ({
      ...reference,
      file: fileWithDefaults(reference.file, reference.secretName, secrets[i]?.file?.mode),
    })),
    configs: container.configs.map((reference, i) => ({
      ...reference,
      file: fileWithDefaults(reference.file, reference.configName, configs[i]?.file?.mode),
    })),
  }
}

type File = ContainerSpec['secrets'][number]['file']

function fileWithDefaults(
  file: File,
  name: string,
  mode: number | null | undefined,
): NonNullable<File> {
  return {
    name: file === null || file.name === '' ? name : file.name,
    uid: file === null || file.uid === '' ? '0' : file.uid,
    gid: file === null || file.gid === '' ? '0' : file.gid,
    mode: file === null || mode === undefined || mode === null ? FILE_MODE : file.mode,
  }
}
