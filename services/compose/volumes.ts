import { onlyIdentity, readIdentity } from './networks.ts'
import type { Reader } from './reader.ts'
import { type Declared, STACK_LABEL, type VolumeDeclaration } from './stack.ts'

/** Top-level `volumes:` (row ST-35). They are made on the nodes that need them, when they need them. */
export function readVolumes(
  reader: Reader | undefined,
  stack: string,
): ReadonlyMap<string, Declared<VolumeDeclaration>> {
  const out = new Map<string, Declared<VolumeDeclaration>>()
  for (const [key, value] of reader?.entries() ?? []) {
    if (value.has('x-cluster-spec')) value.fail('cluster volumes (CSI) are not offered')
    value.only(['driver', 'driver_opts', 'external', 'name', 'labels'])
    const { name, external } = readIdentity(key, value, stack)
    if (external) {
      onlyIdentity(value)
      out.set(key, { name, external })
      continue
    }
    const spec = {
      driver: value.get('driver')?.text() ?? '',
      options: value.get('driver_opts')?.texts() ?? {},
      labels: { ...value.get('labels')?.texts(), [STACK_LABEL]: stack },
    }
    out.set(key, { name, external, spec })
  }
  return out
}
