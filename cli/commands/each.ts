import type { Context } from '../context.ts'
import { Exit, Failure, failureText, toFailure } from '../failure.ts'

/**
 * Does something for each name, whatever becomes of the others, and prints each that worked.
 * @throws Failure when one or more did not; what went wrong was printed by then, but the last
 */
export async function forEach(
  context: Context,
  names: readonly string[],
  work: (name: string) => Promise<string | undefined>,
): Promise<void> {
  const failures: Failure[] = []
  for (const name of names) {
    try {
      const text = await work(name)
      if (text !== undefined) context.stdout.write(`${text}\n`)
    } catch (error) {
      const failure = toFailure(error)
      if (failure.exit === Exit.INTERRUPTED) throw failure
      failures.push(failure)
    }
  }
  const last = failures.pop()
  if (last === undefined) return
  for (const failure of failures) context.stderr.write(failureText(failure))
  throw last
}

/** Tries again when somebody else changed the object between reading and writing it. */
export async function withFreshVersion<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (attempt >= ATTEMPTS || !isStale(error)) throw error
    }
  }
}

const ATTEMPTS = 4

function isStale(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'Aborted'
}
