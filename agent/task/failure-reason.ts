import type { TaskStatus } from '../../proto/index.ts'
import { TaskState } from '../../proto/index.ts'
import type { TaskFailure } from '../metrics.ts'

const PATTERNS: readonly (readonly [RegExp, TaskFailure])[] = [
  [/^image /, 'image'],
  [/^port \d+ is already in use/, 'port'],
  [/^unhealthy container/, 'unhealthy'],
  [/\bmount\b|volume/i, 'mount'],
  [/\bnetwork\b|gateway|subnet/i, 'network'],
]

/** The closed list a failed task is counted under. */
export function failureReason(status: TaskStatus): TaskFailure {
  if (status.container?.oomKilled) return 'oom'
  for (const [pattern, reason] of PATTERNS) if (pattern.test(status.error)) return reason
  if (status.state === TaskState.REJECTED) return 'create'
  return status.message === 'starting' ? 'start' : 'exit'
}
