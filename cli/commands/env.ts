import type { Context } from '../context.ts'
import { envEntries } from '../flags/values.ts'
import type { Flags } from '../spec/flags.ts'

/** The environment the flags ask for, with their files read. */
export async function readEnv(context: Context, flags: Flags): Promise<readonly string[]> {
  const files = []
  for (const name of flags.list('envFile')) {
    const bytes = await context.readFile(name)
    files.push({ name, text: Buffer.from(bytes).toString('utf8') })
  }
  return envEntries(flags.added('env'), files, context.env)
}
