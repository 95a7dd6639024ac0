import { make } from '../../../proto/codec.ts'
import { type NodeDescription, v1 } from '../../../proto/index.ts'
import type { EngineInfo, EngineVersion } from './adapter.ts'

const NANO = 1_000_000_000

/** What the engine says of itself and the host (Swarm row EX-18). The host's own facts are added by the agent. */
export function describeNode(info: EngineInfo, version: EngineVersion): NodeDescription {
  return make(v1.NodeDescription, {
    hostname: info.Name,
    platform: { architecture: info.Architecture, os: info.OSType },
    resources: {
      nanoCpus: info.NCPU * NANO,
      memoryBytes: info.MemTotal,
      generic: genericResources(info),
    },
    engine: {
      version: version.Version,
      apiVersion: version.ApiVersion,
      id: info.ID ?? '',
      storageDriver: info.Driver,
      cgroupVersion: info.CgroupVersion ?? '1',
      kernel: info.KernelVersion,
      operatingSystem: info.OperatingSystem,
      labels: labels(info.Labels ?? []),
      plugins: plugins(info),
    },
  })
}

function labels(lines: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    lines.map(line => {
      const at = line.indexOf('=')
      return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)]
    }),
  )
}

function plugins(info: EngineInfo): { type: string; name: string }[] {
  const listed = Object.entries(info.Plugins ?? {}).flatMap(([type, names]) =>
    (names ?? []).map(name => ({ type, name })),
  )
  // Overlays are the agent's, on every node.
  const overlay = { type: 'Network', name: 'overlay' }
  const known = listed.some(({ type, name }) => type === overlay.type && name === overlay.name)
  return known ? listed : [...listed, overlay]
}

function genericResources(info: EngineInfo): { kind: string; count: number; names: string[] }[] {
  const byKind = new Map<string, { kind: string; count: number; names: string[] }>()
  for (const { DiscreteResourceSpec: counted, NamedResourceSpec: named } of info.GenericResources ??
    []) {
    const kind = counted?.Kind ?? named?.Kind
    if (kind === undefined) continue
    const resource = byKind.get(kind) ?? { kind, count: 0, names: [] }
    byKind.set(kind, resource)
    if (counted) resource.count += counted.Value
    if (named) resource.names.push(named.Value)
  }
  return [...byKind.values()]
}
