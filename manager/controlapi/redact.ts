// What leaves the managers: no CA keys, no join secrets, no secret data, no registry credentials.
import type {
  Cluster,
  ContainerWorkload,
  Secret,
  Service,
  ServiceSpec,
  Task,
  TaskSpec,
} from '../../proto/index.ts'
import type { Kind, Tables } from '../state/store/types.ts'

const NO_BYTES = new Uint8Array()

/** A cluster without its keys and join secrets. */
export function redactCluster(cluster: Cluster): Cluster {
  const { rootCa } = cluster
  if (!rootCa) return cluster
  return {
    ...cluster,
    rootCa: { ...rootCa, keyPem: '', nextKeyPem: '', workerSecret: '', managerSecret: '' },
  }
}

/** A secret without its data (Swarm row SC-04). */
export function redactSecret(secret: Secret): Secret {
  return secret.spec ? { ...secret, spec: { ...secret.spec, data: NO_BYTES } } : secret
}

/** A service without registry credentials, in both of its specs. */
export function redactService(service: Service): Service {
  const { spec, previousSpec } = service
  return {
    ...service,
    spec: spec && redactServiceSpec(spec),
    previousSpec: previousSpec && redactServiceSpec(previousSpec),
  }
}

function redactServiceSpec(spec: ServiceSpec): ServiceSpec {
  return spec.task ? { ...spec, task: redactTaskSpec(spec.task) } : spec
}

export function redactTask(task: Task): Task {
  return task.spec ? { ...task, spec: redactTaskSpec(task.spec) } : task
}

export function redactContainer(workload: ContainerWorkload): ContainerWorkload {
  const { spec } = workload
  if (!spec?.task) return workload
  return { ...workload, spec: { ...spec, task: redactTaskSpec(spec.task) } }
}

function redactTaskSpec(spec: TaskSpec): TaskSpec {
  const { container } = spec
  if (!container?.pull?.registryAuth) return spec
  return {
    ...spec,
    container: { ...container, pull: { ...container.pull, registryAuth: '' } },
  }
}

/** Any object as it may leave the managers. */
export function redact<K extends Kind>(kind: K, object: Tables[K]): Tables[K] {
  const redactors: { readonly [P in Kind]?: (object: Tables[P]) => Tables[P] } = {
    cluster: redactCluster,
    secret: redactSecret,
    service: redactService,
    task: redactTask,
    container: redactContainer,
  }
  const redactor = redactors[kind] as ((object: Tables[K]) => Tables[K]) | undefined
  return redactor ? redactor(object) : object
}
