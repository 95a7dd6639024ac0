import { type Mount, MountType } from '../../proto/index.ts'
import { isTemplate } from '../template/parser.ts'
import { type Fail, checkKeys, checkTemplated } from './check.ts'

// Docker's mount rules (rows SF-31, EX-12), checked when the service is declared and not when its task is rejected.

const VOLUME_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/
const PROPAGATIONS = ['', 'private', 'rprivate', 'shared', 'rshared', 'slave', 'rslave']
const CONSISTENCIES = ['', 'default', 'consistent', 'cached', 'delegated']

export function validateMounts(mounts: readonly Mount[], path: string, fail: Fail): void {
  const targets = new Set<string>()
  for (const [i, mount] of mounts.entries()) {
    const place = `${path}[${i}]`
    validateTarget(mount, place, fail)
    const target = mount.target.replace(/(?<=.)\/+$/, '')
    if (targets.has(target)) fail(`${place}.target`, `duplicate mount point "${mount.target}"`)
    targets.add(target)
    checkTemplated(mount.source, `${place}.source`, fail)
    validateKind(mount, place, fail)
  }
}

function validateTarget({ target }: Mount, place: string, fail: Fail): void {
  if (target === '') fail(`${place}.target`, 'must be given')
  checkTemplated(target, `${place}.target`, fail)
  if (!target.startsWith('/') && !target.startsWith('{{'))
    fail(`${place}.target`, 'must be an absolute path')
  if (/^\/+$/.test(target)) fail(`${place}.target`, "must not be '/'")
}

function validateKind(mount: Mount, place: string, fail: Fail): void {
  switch (mount.type) {
    case MountType.BIND:
      if (mount.source === '') fail(`${place}.source`, 'must be given for a bind mount')
      if (!mount.source.startsWith('/') && !mount.source.startsWith('{{'))
        fail(`${place}.source`, 'must be an absolute path for a bind mount')
      break
    case MountType.VOLUME:
      validateVolume(mount, place, fail)
      break
    case MountType.TMPFS:
      if (mount.source !== '') fail(`${place}.source`, 'must not be given for a tmpfs mount')
      if (mount.tmpfsMode > 0o7777) fail(`${place}.tmpfsMode`, 'is not a file mode')
      if (mount.tmpfsSizeBytes < 0) fail(`${place}.tmpfsSizeBytes`, 'must not be negative')
      break
    case MountType.NPIPE:
      fail(`${place}.type`, 'named pipes exist on Windows only')
      break
    case MountType.CLUSTER_VOLUME:
      fail(`${place}.type`, 'cluster volumes (CSI) are not offered; use a volume with a driver')
      break
    default:
      fail(`${place}.type`, `unknown mount type ${String(mount.type)}`)
  }
  validateForeignOptions(mount, place, fail)
}

function validateVolume(mount: Mount, place: string, fail: Fail): void {
  const { source } = mount
  if (source === '') {
    if (mount.readOnly)
      fail(`${place}.readOnly`, 'an anonymous volume cannot be read-only: it is empty')
    if (mount.volumeLocality !== 0) fail(`${place}.volumeLocality`, 'is for named volumes')
  } else if (!isTemplate(source) && !VOLUME_NAME.test(source)) {
    const hint = source.includes('/') ? '; for a path of the host use a bind mount' : ''
    fail(`${place}.source`, `invalid volume name "${source}"${hint}`)
  }
  for (const [field, map] of [
    ['volumeLabels', mount.volumeLabels],
    ['volumeOptions', mount.volumeOptions],
  ] as const) {
    checkKeys(map, `${place}.${field}`, fail)
    for (const [key, text] of Object.entries(map))
      checkTemplated(text, `${place}.${field}.${key}`, fail)
  }
}

/** Options of another type would be dropped without a word. */
function validateForeignOptions(mount: Mount, place: string, fail: Fail): void {
  if (!CONSISTENCIES.includes(mount.consistency))
    fail(`${place}.consistency`, `unknown value "${mount.consistency}"`)
  if (!PROPAGATIONS.includes(mount.bindPropagation))
    fail(`${place}.bindPropagation`, `unknown value "${mount.bindPropagation}"`)
  const bind = mount.bindPropagation !== '' || mount.bindCreateSource || mount.bindNonRecursive
  const volume =
    mount.volumeNoCopy ||
    mount.volumeDriver !== '' ||
    mount.volumeSubpath !== '' ||
    mount.volumeLocality !== 0 ||
    Object.keys(mount.volumeLabels).length + Object.keys(mount.volumeOptions).length > 0
  const tmpfs = mount.tmpfsSizeBytes !== 0 || mount.tmpfsMode !== 0
  const wrong =
    bind && mount.type !== MountType.BIND
      ? 'bind'
      : volume && mount.type !== MountType.VOLUME
        ? 'volume'
        : tmpfs && mount.type !== MountType.TMPFS
          ? 'tmpfs'
          : undefined
  if (wrong !== undefined) fail(place, `${wrong} options on a mount of another type`)
}
