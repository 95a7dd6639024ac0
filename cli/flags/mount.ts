import { type Mount, MountType, VolumeLocality, v1 } from '../../proto/index.ts'
import { make } from '../../proto/codec.ts'
import { parseBytes } from '../../services/resource/parse.ts'
import { usage } from '../failure.ts'
import { choice, csvFields, read, truth } from './values.ts'

export const MOUNT_TYPES = ['bind', 'volume', 'tmpfs', 'npipe', 'cluster'] as const
const PROPAGATIONS = ['rprivate', 'private', 'rshared', 'shared', 'rslave', 'slave'] as const
const CONSISTENCIES = ['default', 'consistent', 'cached', 'delegated'] as const

type Draft = { -readonly [K in keyof Mount]: Mount[K] }

/** Which type an option belongs to: the same check docker makes, so that nothing is dropped silently. */
const OWNER: Readonly<Record<string, MountType>> = {
  'bind-propagation': MountType.BIND,
  'bind-nonrecursive': MountType.BIND,
  'bind-create-src': MountType.BIND,
  'volume-nocopy': MountType.VOLUME,
  'volume-label': MountType.VOLUME,
  'volume-driver': MountType.VOLUME,
  'volume-opt': MountType.VOLUME,
  'volume-subpath': MountType.VOLUME,
  'volume-locality': MountType.VOLUME,
  'tmpfs-size': MountType.TMPFS,
  'tmpfs-mode': MountType.TMPFS,
}

/**
 * `--mount type=volume,source=data-{{.Task.Slot}},target=/data` (swarm row SF-31). Ours: `volume-locality=preferred`
 * lets a task start with an empty volume where the node that holds its data is gone.
 * @throws Failure (usage)
 */
export function parseMount(text: string, flag = '--mount'): Mount {
  const mount: Draft = { ...make(v1.Mount, { type: MountType.VOLUME }) }
  const labels: Record<string, string> = {}
  const options: Record<string, string> = {}
  const used: string[] = []
  for (const { key, value } of csvFields(flag, text)) {
    used.push(key)
    if (!apply(mount, flag, key, value, labels, options)) {
      throw usage(`${flag}: unexpected key "${key}" in "${text}"`)
    }
  }
  mount.volumeLabels = labels
  mount.volumeOptions = options
  if (mount.target === '') throw usage(`${flag}: target is required in "${text}"`)
  if (mount.type === MountType.BIND && mount.source === '') {
    throw usage(`${flag}: a bind mount needs a source in "${text}"`)
  }
  if (mount.type === MountType.TMPFS && mount.source !== '') {
    throw usage(`${flag}: a tmpfs mount has no source in "${text}"`)
  }
  for (const key of used) {
    const owner = OWNER[key]
    if (owner !== undefined && owner !== mount.type) {
      throw usage(
        `${flag}: ${key} cannot be used with a mount of type ${MOUNT_TYPES[mount.type] ?? ''}`,
      )
    }
  }
  return mount
}

function apply(
  mount: Draft,
  flag: string,
  key: string,
  value: string | undefined,
  labels: Record<string, string>,
  options: Record<string, string>,
): boolean {
  const text = value ?? ''
  switch (key) {
    case 'type':
      mount.type = choice(flag, text, MOUNT_TYPES) as MountType
      return true
    case 'source':
    case 'src':
      mount.source = text
      return true
    case 'target':
    case 'dst':
    case 'destination':
      mount.target = text
      return true
    case 'readonly':
    case 'ro':
      mount.readOnly = truth(flag, key, value)
      return true
    case 'consistency':
      choice(flag, text, CONSISTENCIES)
      mount.consistency = text.toLowerCase()
      return true
    case 'bind-propagation':
      choice(flag, text, PROPAGATIONS)
      mount.bindPropagation = text.toLowerCase()
      return true
    case 'bind-nonrecursive':
      mount.bindNonRecursive = truth(flag, key, value)
      return true
    case 'bind-create-src':
      mount.bindCreateSource = truth(flag, key, value)
      return true
    case 'volume-nocopy':
      mount.volumeNoCopy = truth(flag, key, value)
      return true
    case 'volume-label':
      setPair(labels, text)
      return true
    case 'volume-opt':
      setPair(options, text)
      return true
    case 'volume-driver':
      mount.volumeDriver = text
      return true
    case 'volume-subpath':
      mount.volumeSubpath = text
      return true
    case 'volume-locality':
      mount.volumeLocality = choice(flag, text, ['required', 'preferred']) as VolumeLocality
      return true
    case 'tmpfs-size':
      mount.tmpfsSizeBytes = read(flag, text, parseBytes)
      return true
    case 'tmpfs-mode':
      if (!/^[0-7]{1,4}$/.test(text)) throw usage(`${flag}: tmpfs-mode "${text}" is not octal`)
      mount.tmpfsMode = Number.parseInt(text, 8)
      return true
    default:
      return false
  }
}

function setPair(into: Record<string, string>, text: string): void {
  const [key = '', ...rest] = text.split('=')
  into[key] = rest.join('=')
}
