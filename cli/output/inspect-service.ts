import type { Endpoint, Service, ServiceSpec, UpdateConfig } from '../../proto/index.ts'
import { updateStateName } from '../model/words.ts'
import { type Json, metaOf, nanoseconds, omitEmpty, timestamp } from './inspect-meta.ts'
import { portObject } from './inspect-port.ts'
import { taskSpecObject } from './inspect-task.ts'

/** A service in Docker's layout (docker API 2.2). `BlockedBy` is ours: why nothing moves. */
export function serviceObject(service: Service): Json {
  const { updateStatus, jobStatus } = service
  return {
    ID: service.id,
    ...metaOf(service.meta),
    Spec: specObject(service.spec),
    ...(service.previousSpec === null ? {} : { PreviousSpec: specObject(service.previousSpec) }),
    Endpoint: endpointObject(service.endpoint, service.spec),
    ...(updateStatus === null || updateStatus.state === 0
      ? {}
      : {
          UpdateStatus: {
            State: updateStateName(updateStatus.state),
            ...omitEmpty({
              StartedAt: updateStatus.startedAtMs && timestamp(updateStatus.startedAtMs),
              CompletedAt: updateStatus.completedAtMs && timestamp(updateStatus.completedAtMs),
            }),
            Message: updateStatus.message,
          },
        }),
    ...(jobStatus === null
      ? {}
      : {
          JobStatus: {
            JobIteration: { Index: jobStatus.iteration },
            LastExecution: timestamp(jobStatus.lastExecutionMs),
          },
        }),
    ...omitEmpty({ BlockedBy: service.blockedBy }),
  }
}

function specObject(spec: ServiceSpec | null): Json {
  if (spec === null) return {}
  return {
    Name: spec.annotations?.name ?? '',
    Labels: spec.annotations?.labels ?? {},
    TaskTemplate: { ...taskSpecObject(spec.task), Runtime: 'container' },
    Mode: modeObject(spec),
    ...omitEmpty({
      UpdateConfig: updateObject(spec.update),
      RollbackConfig: updateObject(spec.rollback),
    }),
    EndpointSpec: {
      Mode: spec.endpoint?.mode === 1 ? 'dnsrr' : 'vip',
      ...omitEmpty({ Ports: spec.endpoint?.ports.map(portObject) }),
    },
  }
}

function modeObject(spec: ServiceSpec): Json {
  if (spec.mode === 'global') return { Global: {} }
  if (spec.mode === 'globalJob') return { GlobalJob: {} }
  if (spec.mode === 'replicatedJob') {
    return {
      ReplicatedJob: {
        MaxConcurrent: spec.replicatedJob.maxConcurrent,
        TotalCompletions: spec.replicatedJob.totalCompletions,
      },
    }
  }
  return { Replicated: { Replicas: spec.mode === 'replicated' ? spec.replicated.replicas : 1 } }
}

function updateObject(config: UpdateConfig | null): Json | undefined {
  if (config === null) return undefined
  return {
    Parallelism: config.parallelism,
    ...omitEmpty({ Delay: nanoseconds(config.delayMs) }),
    FailureAction: ['pause', 'continue', 'rollback'][config.failureAction] ?? '',
    ...omitEmpty({ Monitor: nanoseconds(config.monitorMs) }),
    MaxFailureRatio: config.maxFailureRatio,
    Order: config.order === 1 ? 'start-first' : 'stop-first',
  }
}

function endpointObject(endpoint: Endpoint | null, spec: ServiceSpec | null): Json {
  const declared = spec?.endpoint ?? null
  return {
    Spec: omitEmpty({
      Mode: declared?.mode === 1 ? 'dnsrr' : 'vip',
      Ports: declared?.ports.map(portObject),
    }),
    ...omitEmpty({
      Ports: endpoint?.ports.map(portObject),
      VirtualIPs: endpoint?.virtualIps.map(vip => ({
        NetworkID: vip.networkId,
        Addr: vip.address,
      })),
    }),
  }
}
