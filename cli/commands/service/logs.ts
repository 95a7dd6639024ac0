import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { addLogOptions, type LogFlags, showLogs } from '../logs.ts'

/** `service logs` (swarm row SF-62). */
export function command(context: Context): Command {
  return addLogOptions(new Command('logs'))
    .description('Show the logs of a service or task')
    .argument('<service|task>', 'name or id')
    .action((target: string, flags: LogFlags) => showLogs(context, [target], flags))
}
