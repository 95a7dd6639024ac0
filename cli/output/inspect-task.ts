import type { Task, TaskSpec } from '../../proto/index.ts'
import { observedState, stateName } from '../../services/model/task.ts'
import { containerObject } from './inspect-container.ts'
import { type Json, metaOf, nanoseconds, omitEmpty, timestamp } from './inspect-meta.ts'
import { resourcesObject } from './inspect-node.ts'
import { portObject } from './inspect-port.ts'

const CONDITIONS = ['any', 'on-failure', 'none'] as const

/** A task in Docker's layout (docker API 2.3). `Explanation` is ours. */
export function taskObject(task: Task): Json {
  const { status } = task
  const container = status?.container ?? null
  return {
    ID: task.id,
    ...metaOf(task.meta),
    Labels: {},
    Spec: taskSpecObject(task.spec),
    ServiceID: task.serviceId,
    ...omitEmpty({ Slot: task.slot, NodeID: task.nodeId }),
    Status: {
      Timestamp: timestamp(status?.observedAtMs ?? 0),
      State: stateName(observedState(task)),
      Message: status?.message ?? '',
      ...omitEmpty({ Err: status?.error }),
      ...(container === null
        ? {}
        : {
            ContainerStatus: {
              ContainerID: container.containerId,
              PID: container.pid,
              ExitCode: container.exitCode,
              ...omitEmpty({
                OOMKilled: container.oomKilled,
                Health: container.health,
                LastLogLines: container.lastLogLines,
              }),
            },
          }),
      PortStatus: omitEmpty({ Ports: status?.ports.map(portObject) }),
    },
    DesiredState: stateName(task.desiredState),
    ...omitEmpty({
      NetworksAttachments: task.networks.map(network => ({
        Network: { ID: network.networkId },
        Addresses: [network.address],
        MacAddress: network.mac,
      })),
      GenericResources: resourcesObject(task.assignedGeneric)['GenericResources'],
      Explanation: task.explanation?.summary,
    }),
  }
}

export function taskSpecObject(spec: TaskSpec | null): Json {
  if (spec === null) return { ContainerSpec: containerObject(null), ForceUpdate: 0 }
  const { resources, restart, placement, logDriver } = spec
  return {
    ContainerSpec: containerObject(spec.container),
    ...omitEmpty({
      Resources: omitEmpty({
        Limits: omitEmpty({
          ...resourcesObject(resources?.limits ?? null),
          Pids: spec.container?.pidsLimit,
        }),
        Reservations: resourcesObject(resources?.reservations ?? null),
        SwapBytes: resources?.swapBytes,
        MemorySwappiness: resources?.swappiness,
      }),
      RestartPolicy:
        restart === null
          ? undefined
          : {
              Condition: CONDITIONS[restart.condition] ?? '',
              ...omitEmpty({ Delay: nanoseconds(restart.delayMs) }),
              MaxAttempts: restart.maxAttempts,
              ...omitEmpty({ Window: nanoseconds(restart.windowMs) }),
            },
    }),
    Placement: omitEmpty({
      Constraints: placement?.constraints,
      Preferences: placement?.preferences.map(preference => ({
        Spread: { SpreadDescriptor: preference.spread },
      })),
      MaxReplicas: placement?.maxReplicasPerNode,
      Platforms: placement?.platforms.map(platform => ({
        Architecture: platform.architecture,
        OS: platform.os,
      })),
    }),
    ...omitEmpty({
      Networks: spec.networks.map(network => ({
        Target: network.target,
        ...omitEmpty({
          Aliases: network.aliases,
          DriverOpts: network.driverOptions,
          Addresses: network.addresses,
        }),
      })),
      LogDriver:
        logDriver === null
          ? undefined
          : { Name: logDriver.name, ...omitEmpty({ Options: logDriver.options }) },
    }),
    ForceUpdate: spec.forceUpdate,
  }
}
