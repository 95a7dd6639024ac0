import { type Mount, MountType } from '../../../proto/index.ts'
import { StatusError } from '../../../runtime/errors.ts'
import type { MountBody, VolumeBody } from './body.ts'

/**
 * A mount as the engine takes it.
 *
 * @throws StatusError InvalidArgument naming the mount and what is wrong (Swarm row EX-12)
 */
export function mountBody(mount: Mount): MountBody {
  if (!mount.target.startsWith('/')) {
    throw new StatusError('InvalidArgument', `mount target ${mount.target} is not an absolute path`)
  }
  const common = {
    Target: mount.target,
    ...(mount.readOnly && { ReadOnly: true }),
    ...(mount.consistency && { Consistency: mount.consistency }),
  }
  switch (mount.type) {
    case MountType.BIND:
      return { Type: 'bind', Source: absoluteSource(mount), ...common, ...bindOptions(mount) }
    case MountType.VOLUME:
      return {
        Type: 'volume',
        ...(mount.source && { Source: mount.source }),
        ...common,
        VolumeOptions: volumeOptions(mount),
      }
    case MountType.TMPFS:
      if (mount.source !== '') {
        throw new StatusError('InvalidArgument', `tmpfs mount ${mount.target} must have no source`)
      }
      return { Type: 'tmpfs', ...common, ...tmpfsOptions(mount) }
    case MountType.NPIPE:
      throw new StatusError(
        'InvalidArgument',
        `mount ${mount.target}: named pipes exist on Windows only`,
      )
    case MountType.CLUSTER_VOLUME:
      throw new StatusError(
        'InvalidArgument',
        `mount ${mount.target}: CSI cluster volumes cannot be mounted; use type=volume`,
      )
  }
}

/** The named volumes that must exist before the container is created. */
export function volumeBodies(mounts: readonly Mount[]): readonly VolumeBody[] {
  return mounts
    .filter(mount => mount.type === MountType.VOLUME && mount.source !== '')
    .map(mount => ({
      Name: mount.source,
      ...(mount.volumeDriver && { Driver: mount.volumeDriver }),
      ...(filled(mount.volumeOptions) && { DriverOpts: mount.volumeOptions }),
      ...(filled(mount.volumeLabels) && { Labels: mount.volumeLabels }),
    }))
}

function absoluteSource(mount: Mount): string {
  if (mount.source.startsWith('/')) return mount.source
  throw new StatusError(
    'InvalidArgument',
    `bind mount ${mount.target}: source ${mount.source || '(none)'} is not an absolute path`,
  )
}

function bindOptions(mount: Mount): Pick<MountBody, 'BindOptions'> {
  const options = {
    ...(mount.bindPropagation && { Propagation: mount.bindPropagation }),
    ...(mount.bindNonRecursive && { NonRecursive: true }),
    ...(mount.bindCreateSource && { CreateMountpoint: true }),
  }
  return filled(options) ? { BindOptions: options } : {}
}

function volumeOptions(mount: Mount): NonNullable<MountBody['VolumeOptions']> {
  const driver = {
    ...(mount.volumeDriver && { Name: mount.volumeDriver }),
    ...(filled(mount.volumeOptions) && { Options: mount.volumeOptions }),
  }
  return {
    ...(mount.volumeNoCopy && { NoCopy: true }),
    ...(filled(mount.volumeLabels) && { Labels: mount.volumeLabels }),
    ...(filled(driver) && { DriverConfig: driver }),
    ...(mount.volumeSubpath && { Subpath: mount.volumeSubpath }),
  }
}

function tmpfsOptions(mount: Mount): Pick<MountBody, 'TmpfsOptions'> {
  const options = {
    ...(mount.tmpfsSizeBytes > 0 && { SizeBytes: mount.tmpfsSizeBytes }),
    ...(mount.tmpfsMode > 0 && { Mode: mount.tmpfsMode }),
  }
  return filled(options) ? { TmpfsOptions: options } : {}
}

function filled(record: object): boolean {
  return Object.keys(record).length > 0
}
