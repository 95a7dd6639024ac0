import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { Failure } from '../../failure.ts'
import { lossText } from '../../output/recovery.ts'

/** `cluster recover`: a manager that is left goes on alone. Shows first what that may cost, and asks. */
export function command(context: Context): Command {
  return new Command('recover')
    .description('Make this manager the only one, when a majority of the managers is gone for good')
    .option('-y, --yes', 'do not ask')
    .option('--force', 'although a manager that answers has a newer log')
    .action(async (flags: { readonly yes?: boolean; readonly force?: boolean }) => {
      const api = await context.connect()
      const force = flags.force ?? false
      context.stdout.write(lossText(await api.local.recover({ confirm: false, force })))
      if (flags.yes !== true) {
        const answer = await context.ask('Go on with this manager alone? Type "yes": ')
        if (answer === undefined)
          throw new Failure('nobody to ask: there is no terminal', {
            next: ['to do it without being asked: skein cluster recover --yes'],
          })
        if (answer.trim() !== 'yes') throw new Failure('nothing was changed')
      }
      await api.local.recover({ confirm: true, force })
      context.stdout.write(
        'This manager leads alone now, with all services, networks, secrets and configs it knew.\n' +
          'Add managers: skein swarm join-token manager. See: skein manager status\n',
      )
    })
}
