import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { groupObject, groupText } from '../../output/manager-status.ts'
import { renderObject } from '../../output/object.ts'

/** `manager status`: the group of managers. Any manager answers, with a leader or without. */
export function command(context: Context): Command {
  return new Command('status')
    .description('Show the managers: roles, logs, disks, and how many of them may be lost')
    .option('-f, --format <format>', 'json or a Go template')
    .action(async (flags: { readonly format?: string }) => {
      const api = await context.connect()
      const group = groupObject(await api.control.getManagerStatus({ all: true }))
      context.stdout.write(
        flags.format === undefined
          ? groupText(group, context.clock.now())
          : renderObject(group, flags.format),
      )
    })
}
