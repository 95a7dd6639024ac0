import { type MountInit, MountType, VolumeLocality } from '../../proto/index.ts'
import { parseBytes } from '../resource/parse.ts'
import { isTemplate } from '../template/parser.ts'
import { resolvePath } from './path.ts'
import type { Reader } from './reader.ts'
import type { Context } from './stack.ts'

const TYPES = { volume: MountType.VOLUME, bind: MountType.BIND, tmpfs: MountType.TMPFS }
const LOCALITIES = { required: VolumeLocality.REQUIRED, preferred: VolumeLocality.PREFERRED }
const PROPAGATION = /^r?(?:private|shared|slave)$/

/** What `x-skein: volumes:` says of a volume: one for each slot, and what to do when its node is away. */
export interface VolumeExtra {
  readonly perSlot: boolean
  readonly locality: VolumeLocality
}

export function readVolumeExtras(reader: Reader | undefined): ReadonlyMap<string, VolumeExtra> {
  return new Map(
    (reader?.entries() ?? []).map(([name, value]) => {
      value.only(['per_slot', 'locality'])
      return [
        name,
        {
          perSlot: value.get('per_slot')?.boolean() ?? false,
          locality: value.get('locality')?.choice(LOCALITIES) ?? VolumeLocality.REQUIRED,
        },
      ]
    }),
  )
}

/** `volumes:` and `tmpfs:` of a service. */
export function readMounts(
  volumes: Reader | undefined,
  tmpfs: Reader | undefined,
  extras: ReadonlyMap<string, VolumeExtra>,
  context: Context,
): readonly MountInit[] {
  const mounts = (volumes?.items() ?? []).map(item =>
    item.isMap ? longForm(item, extras, context) : shortForm(item, extras, context),
  )
  if (tmpfs === undefined) return mounts
  const entries = tmpfs.isList ? tmpfs.items() : [tmpfs]
  return [...mounts, ...entries.map(tmpfsMount)]
}

/** `[SOURCE:]TARGET[:OPTIONS]`. */
function shortForm(
  reader: Reader,
  extras: ReadonlyMap<string, VolumeExtra>,
  context: Context,
): MountInit {
  const text = reader.text()
  // Templates may hold colons of their own.
  const parts = text.split(/:(?![^{]*\}\})/)
  if (parts.length > 3 || parts.some(part => part === ''))
    return reader.fail(`invalid volume "${text}"; write [SOURCE:]TARGET[:ro]`)
  const [first = '', second, optionText = ''] = parts
  if (second === undefined) return { type: MountType.VOLUME, target: first }
  const options = optionText === '' ? [] : optionText.split(',')
  const mount: MountInit = {
    ...sourceOf(first, reader, extras, context),
    target: second,
    readOnly: options.includes('ro'),
    volumeNoCopy: options.includes('nocopy'),
    bindPropagation: options.find(option => PROPAGATION.test(option)) ?? '',
  }
  for (const option of options)
    if (!['ro', 'rw', 'nocopy'].includes(option) && !PROPAGATION.test(option))
      reader.fail(`volume option "${option}" cannot be honoured; known: ro, rw, nocopy, rshared, …`)
  return mount
}

function sourceOf(
  source: string,
  reader: Reader,
  extras: ReadonlyMap<string, VolumeExtra>,
  context: Context,
): MountInit {
  if (/^[./~]/.test(source))
    return { type: MountType.BIND, source: resolvePath(source, context.options, reader) }
  return namedVolume(source, reader, extras, context)
}

/** A volume of the file: its name in the cluster, driver and labels; `-<slot>` is added when each slot has its own. */
function namedVolume(
  source: string,
  reader: Reader,
  extras: ReadonlyMap<string, VolumeExtra>,
  context: Context,
): MountInit {
  const declared = context.volumes.get(source)
  if (declared === undefined)
    return reader.fail(`volume "${source}" is not declared under the top-level volumes:`)
  const extra = extras.get(source)
  const perSlot = extra?.perSlot === true && !isTemplate(declared.name)
  return {
    type: MountType.VOLUME,
    source: perSlot ? `${declared.name}-{{.Task.Slot}}` : declared.name,
    volumeLocality: extra?.locality ?? VolumeLocality.REQUIRED,
    ...(declared.external
      ? {}
      : {
          volumeDriver: declared.spec.driver,
          volumeOptions: declared.spec.options,
          volumeLabels: declared.spec.labels,
        }),
  }
}

function longForm(
  reader: Reader,
  extras: ReadonlyMap<string, VolumeExtra>,
  context: Context,
): MountInit {
  reader.only(['type', 'source', 'target', 'read_only', 'consistency', 'bind', 'volume', 'tmpfs'], {
    image: 'image mounts are not offered',
    cluster: 'cluster volumes (CSI) are not offered',
  })
  const type = reader.get('type')?.choice(TYPES) ?? reader.fail('type must be given')
  const target = reader.get('target')?.text() ?? reader.fail('target must be given')
  const source = reader.get('source')
  const common: MountInit = {
    type,
    target,
    readOnly: reader.get('read_only')?.boolean() ?? false,
    consistency: reader.get('consistency')?.text() ?? '',
  }
  const bind = reader.get('bind')?.only(['propagation', 'create_host_path', 'recursive'])
  const volume = reader
    .get('volume')
    ?.only(['nocopy', 'subpath'], { labels: 'belong to the top-level volume' })
  const tmpfs = reader.get('tmpfs')?.only(['size', 'mode'])
  const options: MountInit = {
    bindPropagation: bind?.get('propagation')?.text() ?? '',
    bindCreateSource: bind?.get('create_host_path')?.boolean() ?? false,
    bindNonRecursive: bind?.get('recursive')?.choice({ enabled: false, disabled: true }) ?? false,
    volumeNoCopy: volume?.get('nocopy')?.boolean() ?? false,
    volumeSubpath: volume?.get('subpath')?.text() ?? '',
    tmpfsSizeBytes: tmpfs?.get('size')?.bytes() ?? 0,
    tmpfsMode: tmpfs?.get('mode')?.fileMode() ?? 0,
  }
  if (source === undefined) return { ...common, ...options }
  if (type === MountType.BIND)
    return { ...common, ...options, source: resolvePath(source.text(), context.options, source) }
  if (type === MountType.TMPFS) return source.fail('a tmpfs mount has no source')
  return { ...common, ...options, ...namedVolume(source.text(), source, extras, context) }
}

/** `/run`, `/run:size=64m,mode=1770`. */
function tmpfsMount(reader: Reader): MountInit {
  const [target = '', optionText = ''] = reader.text().split(':')
  let mount: MountInit = { type: MountType.TMPFS, target }
  for (const option of optionText === '' ? [] : optionText.split(',')) {
    const [key = '', value = ''] = option.split('=')
    if (key === 'size') mount = { ...mount, tmpfsSizeBytes: reader.parsed(() => parseBytes(value)) }
    else if (key === 'mode' && /^[0-7]{3,5}$/.test(value))
      mount = { ...mount, tmpfsMode: Number.parseInt(value, 8) }
    else reader.fail(`tmpfs option "${option}" cannot be honoured; known: size=, mode=`)
  }
  return mount
}
