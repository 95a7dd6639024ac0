import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { restoredText } from '../../output/recovery.ts'

/** `cluster restore`: this host becomes the only manager of the cluster that a backup holds. */
export function command(context: Context): Command {
  return new Command('restore')
    .description('Begin the cluster of a backup anew on this host, which must be of no cluster')
    .argument('<file>', 'a file that skein cluster backup wrote')
    .option('--advertise-addr <address>', 'address other nodes reach this one at: IP or IP:PORT')
    .action(async (file: string, flags: { readonly advertiseAddr?: string }) => {
      const bytes = await context.readFile(file)
      const api = await context.connect()
      const restored = await api.restore(bytes, flags.advertiseAddr ?? '')
      context.stdout.write(restoredText(restored, context.clock.now()))
    })
}
