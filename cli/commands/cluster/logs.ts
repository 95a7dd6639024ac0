import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { addLogOptions, type LogFlags, showLogs } from '../logs.ts'

/** `logs NAME…`: services and tasks, merged. */
export function command(context: Context): Command {
  return addLogOptions(new Command('logs'))
    .description('Show the logs of services and tasks, merged')
    .argument('<name...>', 'names or ids of services and tasks (web, web.2)')
    .action((targets: readonly string[], flags: LogFlags) => showLogs(context, targets, flags))
}
