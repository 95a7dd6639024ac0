import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { addDeployOptions, deploy, type DeployFlags } from '../stack/deploy.ts'

/** `deploy FILE`: `stack deploy` with the name taken from the file. */
export function command(context: Context): Command {
  return addDeployOptions(new Command('deploy'))
    .description('Create or change a stack from a compose file, and wait until it is up')
    .argument('<file>', 'compose file; - is standard input')
    .option('--name <stack>', "name of the stack (default: the file's name:, or its directory)")
    .action((file: string, flags: DeployFlags & { readonly name?: string }) =>
      deploy(context, file, flags.name, flags),
    )
}
