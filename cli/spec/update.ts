import type { Service, ServiceSpec } from '../../proto/index.ts'
import { Failure } from '../failure.ts'
import { applyFlags } from './apply.ts'
import { draftOf } from './draft.ts'
import type { Flags } from './flags.ts'
import type { References } from './references.ts'

/**
 * The spec `service update` asks for: the current one with what the flags say.
 * @throws Failure (usage) that names the flag
 */
export function updateSpec(
  service: Service,
  flags: Flags,
  references: References,
  env: readonly string[],
): ServiceSpec {
  if (service.spec === null) throw new Failure(`service ${service.id} has no spec`)
  const spec = draftOf(service.spec)
  applyFlags(spec, flags, references, env)
  if (flags.bool('force') === true && spec.task !== null) spec.task.forceUpdate += 1
  return spec
}
