import { type Code, StatusError, messageOf } from '../runtime/errors.ts'

/** Exit codes a pipeline can trust. Everything not listed here is REFUSED. */
export const Exit = {
  DONE: 0,
  /** Refused by the cluster, or failed for good. */
  REFUSED: 1,
  /** Not converged within --timeout. */
  TIMEOUT: 3,
  /** The update failed and was rolled back. */
  ROLLED_BACK: 4,
  /** The update failed and is paused. */
  PAUSED: 5,
  /** No node can take the missing tasks. */
  UNPLACEABLE: 6,
  /** The roll-back failed too. */
  ROLLBACK_FAILED: 7,
  /** Wrong flags or arguments. */
  USAGE: 125,
  /** Ctrl-C. */
  INTERRUPTED: 130,
} as const
export type Exit = (typeof Exit)[keyof typeof Exit]

export interface FailureDetails {
  /** The reasons, a line each. */
  readonly why?: readonly string[]
  /** What to do, a command or a sentence each. */
  readonly next?: readonly string[]
  readonly exit?: Exit
  readonly cause?: unknown
}

/** A command that ends without success: what happened, why, what to do, and the exit code. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly why: readonly string[]
  readonly next: readonly string[]
  readonly exit: Exit

  constructor(message: string, details: FailureDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.why = details.why ?? []
    this.next = details.next ?? []
    this.exit = details.exit ?? Exit.REFUSED
  }
}

/** Wrong flags or arguments, exit code 125. */
export function usage(message: string, ...next: readonly string[]): Failure {
  return new Failure(message, { exit: Exit.USAGE, next })
}

/** What to try for codes whose message cannot know the command line. */
const REMEDY: Partial<Record<Code, string>> = {
  Unavailable: 'try again in a moment; skein manager status shows the managers',
  Aborted: 'somebody else changed it meanwhile: run the command again',
  DeadlineExceeded: 'try again; skein manager status shows the managers',
  PermissionDenied: 'run it on a manager, or with more rights',
}

/** Any thrown value as a Failure, with a remedy where the code suggests one. */
export function toFailure(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown
  if (!(thrown instanceof StatusError)) return new Failure(messageOf(thrown), { cause: thrown })
  if (thrown.code === 'Cancelled') {
    return new Failure('interrupted', { exit: Exit.INTERRUPTED, cause: thrown })
  }
  const remedy = REMEDY[thrown.code]
  return new Failure(thrown.message, {
    next: remedy === undefined ? [] : [remedy],
    cause: thrown,
  })
}

/** `Error: <what>`, then `  why    …` and `  next   …` lines; continuation lines are indented like their first. */
export function failureText(failure: Failure): string {
  const lines = [`Error: ${failure.message}`]
  for (const [label, texts] of [
    ['why', failure.why],
    ['next', failure.next],
  ] as const) {
    const all = texts.flatMap(text => text.split('\n'))
    for (const [index, text] of all.entries()) {
      lines.push(`  ${(index === 0 ? label : '').padEnd(6)} ${text}`)
    }
  }
  return `${lines.join('\n')}\n`
}
