import { Command } from 'commander'
import type { Context } from './context.ts'
import { usage } from './failure.ts'
import { type Group, type Leaf, entryOf, TREE } from './tree.ts'

/**
 * The program for one command line: the whole tree by name for help, and the one command that was called in full.
 *
 * @param words what follows the global flags
 * @returns the program and the words to give it
 */
export async function programFor(
  context: Context,
  words: readonly string[],
): Promise<{ readonly program: Command; readonly words: readonly string[] }> {
  const program = rootCommand(context)
  let called: Command | undefined
  const [first = '', second = ''] = words
  for (const entry of TREE) {
    const isCalled = entryOf([entry], first) !== undefined
    if (!('children' in entry)) {
      const command = isCalled ? await loaded(context, entry) : stub(entry)
      if (isCalled) called = command
      program.addCommand(command)
      continue
    }
    const group = groupCommand(entry, context)
    for (const child of entry.children) {
      const isChild = isCalled && entryOf([child], second) !== undefined
      const command = isChild ? await loaded(context, child) : stub(child)
      if (isChild) called = command
      group.addCommand(command)
    }
    program.addCommand(group)
  }
  program.addCommand(
    new Command('daemon').summary('run the node (agent, and manager while it is one)'),
  )
  return { program, words: called === undefined ? words : plainBooleans(words, called) }
}

function rootCommand(context: Context): Command {
  const program = settled(new Command('skein'), context)
    .description('Hosts with a container engine as one machine.')
    .version(context.version, '-v, --version', 'print the version')
    .option('-H, --host <address>', "the daemon's socket (or SKEIN_HOST)")
    .option('--color <when>', 'auto, always, never')
    .option('--progress <mode>', 'auto, tty, plain, quiet (or SKEIN_PROGRESS)')
    .option('--debug', 'show where errors come from')
    .enablePositionalOptions()
  program.action(() => program.outputHelp())
  return program
}

function groupCommand(entry: Group, context: Context): Command {
  const group = settled(new Command(entry.name), context)
    .summary(entry.summary)
    .description(capital(entry.summary))
    .enablePositionalOptions()
  group.action(() => group.outputHelp())
  return group
}

/** A name in a help text; commander never runs it. */
function stub(entry: Leaf): Command {
  return new Command(entry.name).summary(entry.summary).allowUnknownOption()
}

async function loaded(context: Context, entry: Leaf): Promise<Command> {
  const { command } = await entry.load()
  return settled(command(context), context).summary(entry.summary)
}

/** Errors are thrown instead of ending the process, and texts go where the context says. */
function settled(command: Command, context: Context): Command {
  return command
    .exitOverride()
    .helpCommand(false)
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: text => context.stdout.write(text),
      writeErr: () => undefined,
      getOutHelpWidth: () => context.stdout.columns,
      getErrHelpWidth: () => context.stderr.columns,
    })
}

/**
 * docker takes `--detach=false`; commander knows only `--detach` and `--no-detach`. Words behind the first argument of a
 * command that passes them through are left alone.
 */
export function plainBooleans(words: readonly string[], command: Command): readonly string[] {
  const result: string[] = []
  const isPassing = command.name() === 'create' && command.registeredArguments.length > 1
  let depth = words.indexOf(command.name())
  if (depth < 0) depth = words.findIndex(word => command.aliases().includes(word))
  for (let at = 0; at < words.length; at++) {
    const word = words[at] ?? ''
    if (at > depth && (word === '--' || (isPassing && !word.startsWith('-')))) {
      return [...result, ...words.slice(at)]
    }
    const match = /^(--?[a-z][a-z-]*)=(true|false|1|0)$/.exec(word)
    const option = command.options.find(
      each => each.long === (match?.[1] ?? word) || each.short === (match?.[1] ?? word),
    )
    const isBoolean = option !== undefined && !option.required && !option.optional
    if (match !== null && isBoolean) {
      const isTrue = match[2] === 'true' || match[2] === '1'
      if (isTrue) result.push(match[1] ?? '')
      else {
        const negation = `--no-${option.name()}`
        if (option.negate) continue
        if (command.options.some(each => each.long === negation)) result.push(negation)
      }
      continue
    }
    result.push(word)
    const takesNext = option !== undefined && option.required && match === null
    if (takesNext && at > depth) {
      at++
      const next = words[at]
      if (next !== undefined) result.push(next)
    }
  }
  return result
}

/** @throws Failure (usage) for a command nobody knows */
export function refuseUnknown(words: readonly string[]): void {
  const [first, second] = words
  if (first === undefined || first.startsWith('-') || first === 'daemon') return
  const entry = entryOf(TREE, first)
  if (entry === undefined) throw usage(`unknown command: skein ${first}`, 'skein --help')
  if (!('children' in entry) || second === undefined || second.startsWith('-')) return
  if (entryOf(entry.children, second) === undefined) {
    throw usage(`unknown command: skein ${first} ${second}`, `skein ${first} --help`)
  }
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}
