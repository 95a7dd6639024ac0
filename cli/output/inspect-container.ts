import type { ContainerSpec, Mount } from '../../proto/index.ts'
import { MOUNT_TYPES } from '../flags/mount.ts'
import { type Json, nanoseconds, omitEmpty } from './inspect-meta.ts'

/** What runs in a task, in Docker's layout. Registry credentials are never shown. */
export function containerObject(container: ContainerSpec | null): Json {
  if (container === null) return { Image: '' }
  const { healthcheck, dns } = container
  return {
    Image: container.image,
    ...omitEmpty({
      Labels: container.labels,
      Command: container.command,
      Args: container.args,
      Hostname: container.hostname,
      Domainname: container.domainname,
      Env: container.env,
      Dir: container.dir,
      User: container.user,
      Groups: container.groups,
    }),
    ...(container.init === undefined ? {} : { Init: container.init }),
    ...omitEmpty({
      StopSignal: container.stopSignal,
      TTY: container.tty,
      OpenStdin: container.openStdin,
      ReadOnly: container.readOnly,
      Privileged: container.privileged,
      Mounts: container.mounts.map(mountObject),
      StopGracePeriod: nanoseconds(container.stopGraceMs ?? 0),
      Healthcheck:
        healthcheck === null
          ? undefined
          : omitEmpty({
              Test: healthcheck.test,
              Interval: nanoseconds(healthcheck.intervalMs),
              Timeout: nanoseconds(healthcheck.timeoutMs),
              StartPeriod: nanoseconds(healthcheck.startPeriodMs),
              StartInterval: nanoseconds(healthcheck.startIntervalMs),
              Retries: healthcheck.retries,
            }),
      Hosts: container.hosts,
      DNSConfig:
        dns === null
          ? undefined
          : omitEmpty({
              Nameservers: dns.nameservers,
              Search: dns.search,
              Options: dns.options,
            }),
      Secrets: container.secrets.map(reference => ({
        File: fileObject(reference.file),
        SecretID: reference.secretId,
        SecretName: reference.secretName,
      })),
      Configs: container.configs.map(reference => ({
        File: fileObject(reference.file),
        ConfigID: reference.configId,
        ConfigName: reference.configName,
      })),
      Sysctls: container.sysctls,
      CapabilityAdd: container.capAdd,
      CapabilityDrop: container.capDrop,
      Ulimits: container.ulimits.map(limit => ({
        Name: limit.name,
        Soft: limit.soft,
        Hard: limit.hard,
      })),
      Devices: container.devices.map(device => ({
        PathOnHost: device.pathOnHost,
        PathInContainer: device.pathInContainer,
        CgroupPermissions: device.permissions,
      })),
      OomScoreAdj: container.oomScoreAdj,
      ShmSize: container.shmSizeBytes,
      NetworkMode: container.networkMode,
      PidMode: container.pidMode,
      IpcMode: container.ipcMode,
      UsernsMode: container.usernsMode,
      CgroupParent: container.cgroupParent,
      SecurityOpt: container.securityOptions,
      Runtime: container.runtime,
      Isolation: container.isolation,
    }),
  }
}

function fileObject(file: ContainerSpec['secrets'][number]['file']): Json {
  return {
    Name: file?.name ?? '',
    UID: file?.uid ?? '0',
    GID: file?.gid ?? '0',
    Mode: file?.mode ?? 0,
  }
}

function mountObject(mount: Mount): Json {
  return {
    Type: MOUNT_TYPES[mount.type] ?? '',
    ...omitEmpty({ Source: mount.source }),
    Target: mount.target,
    ...omitEmpty({
      ReadOnly: mount.readOnly,
      Consistency: mount.consistency,
      BindOptions: omitEmpty({
        Propagation: mount.bindPropagation,
        NonRecursive: mount.bindNonRecursive,
        CreateMountpoint: mount.bindCreateSource,
      }),
      VolumeOptions: omitEmpty({
        NoCopy: mount.volumeNoCopy,
        Labels: mount.volumeLabels,
        Subpath: mount.volumeSubpath,
        DriverConfig: omitEmpty({ Name: mount.volumeDriver, Options: mount.volumeOptions }),
        Locality: mount.volumeLocality === 1 ? 'preferred' : '',
      }),
      TmpfsOptions: omitEmpty({ SizeBytes: mount.tmpfsSizeBytes, Mode: mount.tmpfsMode }),
    }),
  }
}
