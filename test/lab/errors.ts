/** What the lab throws: a sentence that names the host or file, and what to do about it. */
export class LabError extends Error {
  override readonly name = 'LabError'
}

/** The text of anything thrown, for a line of output. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
