import type { ServiceSpec, ServiceSpecInit } from '../../proto/index.ts'
import { withDefaults } from '../../services/spec/defaults.ts'
import { usage } from '../failure.ts'
import { choice, wholeNumber } from '../flags/values.ts'
import { applyFlags } from './apply.ts'
import { draftOf } from './draft.ts'
import type { Flags } from './flags.ts'
import type { References } from './references.ts'

export const MODES = ['replicated', 'global', 'replicated-job', 'global-job'] as const

export interface CreateInput {
  readonly name: string
  readonly image: string
  readonly args: readonly string[]
  readonly flags: Flags
  readonly references: References
  readonly env: readonly string[]
}

/** The spec `service create` asks for. @throws Failure (usage) that names the flag */
export function createSpec(input: CreateInput): ServiceSpec {
  const { flags } = input
  const spec = draftOf(
    withDefaults({ annotations: { name: input.name, labels: {} }, ...modeOf(flags) }),
  )
  applyFlags(spec, flags, input.references, input.env)
  if (spec.task?.container != null) {
    spec.task.container.image = input.image
    spec.task.container.args = [...input.args]
  }
  return spec
}

function modeOf(flags: Flags): ServiceSpecInit {
  const mode = MODES[choice('--mode', flags.text('mode') ?? 'replicated', MODES)]
  const concurrent = flags.text('maxConcurrent')
  if (concurrent !== undefined && mode !== 'replicated-job') {
    throw usage('--max-concurrent can only be used with replicated-job mode')
  }
  if (mode === 'global') return { global: {} }
  if (mode === 'global-job') return { globalJob: {} }
  if (mode === 'replicated') return { replicated: { replicas: 1 } }
  const totalCompletions = wholeNumber('--replicas', flags.text('replicas') ?? '1', 1)
  const maxConcurrent =
    concurrent === undefined ? totalCompletions : wholeNumber('--max-concurrent', concurrent, 1)
  return { replicatedJob: { maxConcurrent, totalCompletions } }
}

/** Which references the flags need, so that a plain create asks for none. */
export function neededReferences(flags: Flags): {
  networks: boolean
  secrets: boolean
  configs: boolean
} {
  const isUsed = (name: string): boolean =>
    flags.added(name).length + flags.removed(name).length > 0
  return {
    networks: isUsed('network') || flags.list('address').length > 0,
    secrets: isUsed('secret'),
    configs: isUsed('config'),
  }
}
