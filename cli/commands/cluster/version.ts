import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { renderObject } from '../../output/object.ts'
import { pretty } from '../../output/pretty.ts'

/** `version`: of this program, and of the daemon when one answers. */
export function command(context: Context): Command {
  return new Command('version')
    .description('Show the versions of the command and the daemon')
    .option('-f, --format <format>', 'json or a Go template')
    .action(async (flags: { readonly format?: string }) => {
      const client = { Version: context.version, NodeVersion: process.version.slice(1) }
      if (flags.format === undefined) {
        context.stdout.write(
          pretty([
            [
              'Client',
              [
                ['Version', client.Version],
                ['Node.js', client.NodeVersion],
              ],
            ],
          ]),
        )
      }
      const api = await context.connect()
      const info = await api.local.info({})
      const server = {
        Version: info.version,
        EngineVersion: info.description?.engine?.version ?? '',
        KernelVersion: info.description?.engine?.kernel ?? '',
      }
      context.stdout.write(
        flags.format === undefined
          ? `\n${pretty([
              [
                'Server',
                [
                  ['Version', server.Version],
                  ['Engine', server.EngineVersion],
                  ['Kernel', server.KernelVersion],
                ],
              ],
            ])}`
          : renderObject({ Client: client, Server: server }, flags.format),
      )
    })
}
