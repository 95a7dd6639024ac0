import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { humanDuration } from '../../output/ago.ts'
import { renderObject } from '../../output/object.ts'
import { pretty } from '../../output/pretty.ts'
import { table } from '../../output/table.ts'

/** `manager status`: the Raft group as the manager that answers sees it. */
export function command(context: Context): Command {
  return new Command('status')
    .description('Show the group of managers and how far each has the log')
    .option('-f, --format <format>', 'json or a Go template')
    .action(async (flags: { readonly format?: string }) => {
      const api = await context.connect()
      const status = await api.control.getManagerStatus({})
      if (flags.format !== undefined) {
        context.stdout.write(renderObject(status, flags.format))
        return
      }
      const rows = status.peers.map(peer => [
        peer.address,
        peer.raftId === status.leader ? 'leader' : peer.learner ? 'learner' : 'follower',
        peer.matchIndex === 0 ? '' : String(peer.matchIndex),
        peer.raftId === status.raftId ? 'this manager' : contact(peer.lastContactMs),
      ])
      context.stdout.write(
        pretty([
          ['Role', status.role],
          ['Term', status.term],
          ['Last index', status.lastIndex],
          ['Committed', status.commitIndex],
          ['Applied', status.appliedIndex],
          ['Snapshot', status.snapshotIndex],
        ]),
      )
      context.stdout.write(`\n${table([['ADDRESS', 'ROLE', 'LOG', 'LAST CONTACT'], ...rows])}`)
    })
}

function contact(ms: number): string {
  return ms < 0 ? 'never' : ms < 1000 ? `${ms} ms ago` : `${humanDuration(ms)} ago`
}
