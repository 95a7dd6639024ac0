// `skein manager repair`: the program around daemon/repair-log.ts. It takes the directory from the same places as the
// daemon, and its lock, so that the two never work on it together.
import { createInterface } from 'node:readline/promises'
import { Command, CommanderError } from 'commander'
import { nodeFs } from 'raft-ts'
import { StatusError, messageOf } from '../runtime/errors.ts'
import { systemFs } from '../runtime/fs.ts'
import { systemRandom } from '../runtime/random.ts'
import { CONFIG_FILE, configFile, resolveConfig } from './config.ts'
import { lockDataDir } from './data-lock.ts'
import { repairManager } from './repair-log.ts'

/** As docker run and the daemon: called wrongly. */
const BAD_USAGE = 125

function repairCommand(): Command {
  return new Command('skein manager repair')
    .description(
      "Salvage this manager's damaged log: keep what comes before the damage. The daemon must be stopped. Shows first what would be kept and lost; the files as they were are put aside.",
    )
    .showHelpAfterError('See: skein manager repair --help')
    .option('--config <file>', "the daemon's configuration file (YAML)", CONFIG_FILE)
    .option('--data-dir <dir>', "the daemon's state directory (default: /var/lib/skein)")
    .option('-y, --yes', 'repair without asking')
}

async function main(): Promise<void> {
  const command = repairCommand().exitOverride().parse()
  const { config, yes, ...flags } = command.opts<Record<string, unknown>>()
  const file = await configFile(systemFs, String(config))
  const { dataDir } = resolveConfig(flags, process.env, file)
  if ((await systemFs.list(dataDir)).length === 0)
    throw new StatusError('NotFound', `${dataDir} is empty or not there; name it with --data-dir`)
  const unlock = await lockDataDir(dataDir, 'skein manager repair')
  try {
    await repairManager({
      dataDir,
      fs: systemFs,
      raftFs: nodeFs,
      random: systemRandom,
      write: text => process.stdout.write(text),
      confirm: async () => yes === true || confirmed(),
    })
  } finally {
    unlock()
  }
}

/** Without a terminal nobody can answer, and silence is no. */
async function confirmed(): Promise<boolean> {
  if (!process.stdin.isTTY) return false
  const prompt = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return /^y(es)?$/i.test(await prompt.question('Cut the log there? [y/N] '))
  } finally {
    prompt.close()
  }
}

main().catch((error: unknown) => {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : BAD_USAGE)
  process.stderr.write(`Error: ${messageOf(error)}\n`)
  process.exit(1)
})
