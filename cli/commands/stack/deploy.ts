import { dirname, resolve } from 'node:path'
import { Command, Option } from 'commander'
import { parseCompose } from '../../../services/compose/parse.ts'
import type { Stack } from '../../../services/compose/stack.ts'
import type { Context } from '../../context.ts'
import { usage } from '../../failure.ts'
import { collect } from '../../filters.ts'
import { envEntries } from '../../flags/values.ts'
import { displayFor } from '../../output/progress.ts'
import { addWaitOptions } from '../../spec/options.ts'
import { applyPlan, fetchState, removeUnused } from '../../stack/deploy.ts'
import { planLines, planStack } from '../../stack/plan.ts'
import { waitForAll, type WaitFlags } from '../wait.ts'

export interface DeployFlags extends WaitFlags {
  readonly envFile?: readonly string[]
  readonly prune?: boolean
  readonly dryRun?: boolean
}

/** `stack deploy -c FILE STACK` (swarm rows ST-01 to ST-11), waiting by default. */
export function command(context: Context): Command {
  return addDeployOptions(new Command('deploy').alias('up'))
    .description('Create or change a stack from a compose file')
    .argument('<stack>', 'name of the stack')
    .requiredOption('-c, --compose-file <file>', 'compose file; - is standard input')
    .action((name: string, flags: DeployFlags & { readonly composeFile: string }) =>
      deploy(context, flags.composeFile, name, flags),
    )
}

export function addDeployOptions(command: Command): Command {
  return addWaitOptions(command)
    .option('--dry-run', 'show the plan and change nothing')
    .option('--env-file <file>', 'variables for ${…} in the file (repeatable)', collect)
    .option('--prune', 'remove services the file no longer has')
    .addOption(new Option('--with-registry-auth', 'accepted for compatibility').hideHelp())
    .addOption(new Option('--resolve-image <when>', 'accepted for compatibility').hideHelp())
}

/** Plans, prints the plan, carries it out and waits. Without a name the file's own, or its directory's, is taken. */
export async function deploy(
  context: Context,
  file: string,
  name: string | undefined,
  flags: DeployFlags,
): Promise<void> {
  const stack = await readStack(context, file, name, flags)
  const display = displayFor(context, flags.quiet ?? false)
  for (const warning of stack.warnings) context.stderr.write(`Warning: ${warning}\n`)
  const api = await context.connect()
  const plan = planStack(stack, await fetchState(api))
  const prunes = flags.prune === true
  const lines = planLines(plan, prunes)
  context.stdout.write(`Plan for ${plan.stack}\n${lines.map(line => `${line}\n`).join('')}`)
  if (flags.dryRun === true) return
  const changed = await applyPlan(api, plan, prunes, text => display.say(text))
  await waitForAll(context, api, changed, flags, 'update', display)
  if (flags.detach !== true) await removeUnused(api, plan.stack, text => display.say(text))
  const kept = plan.services.length - changed.length
  const state = flags.detach === true ? 'is being deployed' : 'is up'
  context.stdout.write(
    `${plan.stack} ${state}. ${changed.length} services changed, ${kept} unchanged.\n`,
  )
}

async function readStack(
  context: Context,
  file: string,
  name: string | undefined,
  flags: DeployFlags,
): Promise<Stack> {
  const path = file === '-' ? '-' : resolve(file)
  const text = Buffer.from(await context.readFile(path)).toString('utf8')
  const files = []
  for (const each of flags.envFile ?? []) {
    files.push({ name: each, text: Buffer.from(await context.readFile(each)).toString('utf8') })
  }
  const env = { ...asRecord(envEntries([], files, context.env)), ...context.env }
  const directory = path === '-' ? resolve('.') : dirname(path)
  if (file === '-' && name === undefined && !/^name:/m.test(text)) {
    throw usage('a file from standard input needs --name')
  }
  const fallback = /^name:/m.test(text) ? undefined : stackName(directory)
  const projectName = name ?? fallback
  return parseCompose(text, {
    fileName: path,
    env,
    directory,
    readFile: context.readFileSync,
    ...(projectName === undefined ? {} : { projectName }),
  })
}

/** A directory's name as compose makes a project of it. */
function stackName(directory: string): string {
  const base = directory.split('/').at(-1) ?? ''
  return (
    base
      .toLowerCase()
      .replace(/[^a-z0-9_-]/g, '')
      .replace(/^[_-]+/, '') || 'stack'
  )
}

function asRecord(entries: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    entries
      .filter(entry => entry.includes('='))
      .map(entry => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  )
}
