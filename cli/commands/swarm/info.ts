import { Command } from 'commander'
import type { LocalInfoResponse } from '../../../proto/index.ts'
import type { Context } from '../../context.ts'
import { roleName } from '../../model/words.ts'
import { renderObject } from '../../output/object.ts'

/** `swarm info`: what this node is. Succeeds whenever the daemon answers, member of a cluster or not. */
export function command(context: Context): Command {
  return new Command('info')
    .description('Show what this node is in the cluster')
    .option('--format <format>', 'json or a Go template')
    .action(async (flags: { readonly format?: string }) => {
      const api = await context.connect()
      const info = await api.local.info({})
      if (flags.format !== undefined) {
        context.stdout.write(renderObject(infoObject(info), flags.format))
        return
      }
      const lines = localLines(info)
      context.stdout.write(lines.map(([key, value]) => `${key}: ${value}\n`).join(''))
    })
}

/** The facts of a node as label and text. */
export function localLines(info: LocalInfoResponse): readonly (readonly [string, string])[] {
  const lines: (readonly [string, string])[] = [['State', info.state]]
  if (info.error !== '') lines.push(['Error', info.error])
  if (info.state === 'inactive') return lines
  return [
    ...lines,
    ['NodeID', info.nodeId],
    ['Role', roleName(info.role)],
    ['ClusterID', info.clusterId],
    ['Address', info.address],
    ['Managers', info.managers.join(', ')],
    ['Connected', info.connected ? 'yes' : 'no'],
    ['Tasks', String(info.tasks)],
  ]
}

export function infoObject(info: LocalInfoResponse): Readonly<Record<string, unknown>> {
  return {
    Version: info.version,
    State: info.state,
    Error: info.error,
    NodeID: info.nodeId,
    ClusterID: info.clusterId,
    Role: info.state === 'inactive' ? '' : roleName(info.role),
    Address: info.address,
    Managers: info.managers,
    Connected: info.connected,
    Tasks: info.tasks,
    Hostname: info.description?.hostname ?? '',
    EngineVersion: info.description?.engine?.version ?? '',
    NCPU: (info.description?.resources?.nanoCpus ?? 0) / 1e9,
    MemTotal: info.description?.resources?.memoryBytes ?? 0,
  }
}
