import type { ContainerSpec, ResourceRequirements, Task } from '../../../proto/index.ts'
import type { TaskNetworking } from '../../network/types.ts'
import type { HostBody, MountBody } from './body.ts'
import { mountBody } from './mounts.ts'
import { portBindings } from './ports.ts'

/** HostConfig of a task: what of the host its container gets. */
export function hostBody(
  task: Task,
  spec: ContainerSpec,
  networking: TaskNetworking,
  files: readonly MountBody[],
): HostBody {
  const mounts = [...spec.mounts.map(mountBody), ...files]
  const ports = portBindings(task)
  return {
    // Restarts are new tasks, made by managers.
    RestartPolicy: { Name: 'no' },
    ...networkMode(spec, networking),
    ...(filled(ports) && { PortBindings: ports }),
    ...(mounts.length > 0 && { Mounts: mounts }),
    ...resources(task.spec?.resources ?? null),
    ...dns(spec, networking),
    ...isolation(spec),
    ...(task.spec?.logDriver?.name && {
      LogConfig: { Type: task.spec.logDriver.name, Config: task.spec.logDriver.options },
    }),
  }
}

function networkMode(spec: ContainerSpec, networking: TaskNetworking): Partial<HostBody> {
  const first = networking.attachments[0]
  if (spec.networkMode !== '') return { NetworkMode: spec.networkMode }
  return first ? { NetworkMode: first.engineNetwork } : {}
}

function resources(requirements: ResourceRequirements | null): Partial<HostBody> {
  if (!requirements) return {}
  const { limits, reservations, swapBytes, swappiness } = requirements
  const memory = limits?.memoryBytes ?? 0
  return {
    ...(limits && limits.nanoCpus > 0 && { NanoCpus: limits.nanoCpus }),
    ...(memory > 0 && { Memory: memory }),
    ...(reservations &&
      reservations.memoryBytes > 0 && { MemoryReservation: reservations.memoryBytes }),
    // The engine's number is memory and swap together (Swarm row SF-26).
    ...(swapBytes !== undefined && { MemorySwap: swapBytes < 0 ? -1 : memory + swapBytes }),
    ...(swappiness !== undefined && swappiness >= 0 && { MemorySwappiness: swappiness }),
  }
}

/** The user's name servers replace the cluster's only where the task is on no overlay. */
function dns(spec: ContainerSpec, networking: TaskNetworking): Partial<HostBody> {
  const servers = networking.dns.length > 0 ? networking.dns : (spec.dns?.nameservers ?? [])
  const search = spec.dns?.search ?? []
  const options = spec.dns?.options ?? []
  return {
    ...(servers.length > 0 && { Dns: servers }),
    ...(search.length > 0 && { DnsSearch: search }),
    ...(options.length > 0 && { DnsOptions: options }),
    ...(spec.hosts.length > 0 && { ExtraHosts: spec.hosts }),
  }
}

function isolation(spec: ContainerSpec): Partial<HostBody> {
  return {
    ...(spec.init !== undefined && { Init: spec.init }),
    ...(spec.readOnly && { ReadonlyRootfs: true }),
    ...(spec.groups.length > 0 && { GroupAdd: spec.groups }),
    ...(spec.capAdd.length > 0 && { CapAdd: spec.capAdd }),
    ...(spec.capDrop.length > 0 && { CapDrop: spec.capDrop }),
    ...(spec.privileged && { Privileged: true }),
    ...(filled(spec.sysctls) && { Sysctls: spec.sysctls }),
    ...(spec.securityOptions.length > 0 && { SecurityOpt: spec.securityOptions }),
    ...(spec.pidMode && { PidMode: spec.pidMode }),
    ...(spec.ipcMode && { IpcMode: spec.ipcMode }),
    ...(spec.usernsMode && { UsernsMode: spec.usernsMode }),
    ...(spec.cgroupParent && { CgroupParent: spec.cgroupParent }),
    ...(spec.runtime && { Runtime: spec.runtime }),
    ...(spec.isolation && { Isolation: spec.isolation }),
    ...(spec.shmSizeBytes !== undefined && { ShmSize: spec.shmSizeBytes }),
    ...(spec.pidsLimit !== undefined && { PidsLimit: spec.pidsLimit }),
    ...(spec.oomScoreAdj !== undefined && { OomScoreAdj: spec.oomScoreAdj }),
    ...(spec.ulimits.length > 0 && {
      Ulimits: spec.ulimits.map(({ name, soft, hard }) => ({ Name: name, Soft: soft, Hard: hard })),
    }),
    ...devices(spec),
  }
}

function devices(spec: ContainerSpec): Partial<HostBody> {
  return {
    ...(spec.devices.length > 0 && {
      Devices: spec.devices.map(device => ({
        PathOnHost: device.pathOnHost,
        PathInContainer: device.pathInContainer || device.pathOnHost,
        CgroupPermissions: device.permissions || 'rwm',
      })),
    }),
    ...(spec.deviceRequests.length > 0 && {
      DeviceRequests: spec.deviceRequests.map(request => ({
        Driver: request.driver,
        Count: request.deviceIds.length > 0 ? 0 : request.count,
        DeviceIDs: request.deviceIds.length > 0 ? request.deviceIds : null,
        // One list: all of these together.
        Capabilities: [request.capabilities],
        Options: request.options,
      })),
    }),
  }
}

function filled(record: object): boolean {
  return Object.keys(record).length > 0
}
