import type { ProgressMode } from './context.ts'
import { DEFAULT_HOST } from './host.ts'
import { usage } from './failure.ts'
import type { ColorWish } from './output/color.ts'

/** What stands before the command. */
export interface Globals {
  readonly host: string
  readonly color: ColorWish
  readonly progress: ProgressMode
  /** Show where errors come from. */
  readonly debug: boolean
  /** The words that name the command, e.g. `service`, `ls`, and what follows them. */
  readonly rest: readonly string[]
}

const COLORS: readonly ColorWish[] = ['auto', 'always', 'never']
const MODES: readonly ProgressMode[] = ['auto', 'tty', 'plain', 'quiet']

/**
 * Reads the flags in front of the command: they are needed before its module is loaded.
 * @throws Failure (usage)
 */
export function readGlobals(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Globals {
  let host = env['SKEIN_HOST'] || DEFAULT_HOST
  let color = 'auto'
  let progress = env['SKEIN_PROGRESS'] || 'auto'
  let debug = false
  let at = 0
  for (; at < argv.length; at++) {
    const word = argv[at] ?? ''
    if (!word.startsWith('-')) break
    const [flag = '', ...values] = word.split('=')
    const value = (): string => {
      if (values.length > 0) return values.join('=')
      at++
      const next = argv[at]
      if (next === undefined) throw usage(`${flag} needs a value`)
      return next
    }
    if (flag === '-H' || flag === '--host') host = value()
    else if (flag === '--color') color = value()
    else if (flag === '--progress') progress = value()
    else if (flag === '--debug') debug = true
    else break
  }
  return {
    host,
    color: oneOf('--color', color, COLORS),
    progress: oneOf('--progress', progress, MODES),
    debug,
    rest: argv.slice(at),
  }
}

function oneOf<T extends string>(flag: string, text: string, choices: readonly T[]): T {
  const found = choices.find(each => each === text)
  if (found === undefined) throw usage(`${flag}: "${text}" is none of ${choices.join(', ')}`)
  return found
}
