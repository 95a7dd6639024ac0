import { Command } from 'commander'
import { NodeState, TaskState } from '../../../proto/index.ts'
import { observedState } from '../../../services/model/task.ts'
import { formatNanoCpus } from '../../../services/resource/parse.ts'
import type { Api } from '../../connection.ts'
import type { Context } from '../../context.ts'
import { nodeName } from '../../model/lookup.ts'
import { renderObject } from '../../output/object.ts'
import { bytesText, type Entry, pretty } from '../../output/pretty.ts'
import { infoObject, localLines } from '../swarm/info.ts'

/** `info`: this node, and the whole cluster when the node is in one. */
export function command(context: Context): Command {
  return new Command('info')
    .description('Show the node and the cluster')
    .option('-f, --format <format>', 'json or a Go template')
    .action(async (flags: { readonly format?: string }) => {
      const api = await context.connect()
      const info = await api.local.info({})
      const totals = info.state === 'active' ? await clusterTotals(api) : undefined
      if (flags.format !== undefined) {
        const object = { ...infoObject(info), Cluster: totals ?? null }
        context.stdout.write(renderObject(object, flags.format))
        return
      }
      const node: readonly Entry[] = [
        ['Version', info.version],
        ['Hostname', info.description?.hostname],
        ['Engine', info.description?.engine?.version],
        ...localLines(info),
      ]
      const cluster: readonly Entry[] =
        totals === undefined
          ? []
          : [
              ['Nodes', `${totals.ReadyNodes} of ${totals.Nodes} ready`],
              ['Managers', totals.Managers],
              ['Leader', totals.Leader],
              ['Services', totals.Services],
              ['Tasks running', totals.RunningTasks],
              ['CPUs', totals.NCPU],
              ['Memory', bytesText(totals.MemTotal)],
            ]
      context.stdout.write(
        pretty([
          ['Node', node],
          ['Cluster', cluster],
        ]),
      )
    })
}

async function clusterTotals(api: Api) {
  const [{ nodes }, { services }, { tasks }] = await Promise.all([
    api.control.listNodes({}),
    api.control.listServices({}),
    api.control.listTasks({}),
  ])
  const leader = nodes.find(node => node.manager?.leader === true)
  const sum = (of: (node: (typeof nodes)[number]) => number): number =>
    nodes.reduce((total, node) => total + of(node), 0)
  return {
    Nodes: nodes.length,
    ReadyNodes: nodes.filter(node => node.status?.state === NodeState.NODE_READY).length,
    Managers: nodes.filter(node => node.manager !== null).length,
    Leader: leader === undefined ? '' : nodeName(leader),
    Services: services.length,
    RunningTasks: tasks.filter(task => observedState(task) === TaskState.RUNNING).length,
    NCPU: Number(formatNanoCpus(sum(node => node.description?.resources?.nanoCpus ?? 0))),
    MemTotal: sum(node => node.description?.resources?.memoryBytes ?? 0),
  }
}
