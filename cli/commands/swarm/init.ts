import { Command } from 'commander'
import type { NodeAvailability } from '../../../proto/index.ts'
import type { Context } from '../../context.ts'
import { collect } from '../../filters.ts'
import { choice, durationMs, wholeNumber } from '../../flags/values.ts'

export const AVAILABILITIES = ['active', 'pause', 'drain'] as const
const TASK_HISTORY_LIMIT = '5'

interface InitFlags {
  readonly advertiseAddr?: string
  readonly availability?: string
  readonly defaultAddrPool?: readonly string[]
  readonly defaultAddrPoolMaskLength?: string
  readonly taskHistoryLimit: string
  readonly certExpiry?: string
  readonly dispatcherHeartbeat?: string
  readonly forceNewCluster?: boolean
  readonly autolock?: boolean
  readonly clusterName?: string
}

/** `swarm init` (swarm rows CL-01 to CL-15). */
export function command(context: Context): Command {
  return new Command('init')
    .description('Make this node the first manager of a new cluster')
    .option('--advertise-addr <address>', 'address other nodes reach this one at: IP or IP:PORT')
    .option('--availability <availability>', 'active, pause or drain (default: active)')
    .option('--autolock', 'ask for a key when a manager starts')
    .option('--cert-expiry <duration>', 'validity of node certificates (default: 2160h)')
    .option('--cluster-name <name>', 'name of the cluster')
    .option('--default-addr-pool <cidr>', 'where networks are cut from (repeatable)', collect)
    .option('--default-addr-pool-mask-length <bits>', 'size of such a cut (default: 24)')
    .option('--dispatcher-heartbeat <duration>', 'period of the agents’ heartbeats')
    .option('--force-new-cluster', 'refused: see skein cluster recover and restore')
    .option(
      '--task-history-limit <n>',
      'stopped tasks kept for each slot; negative: all',
      TASK_HISTORY_LIMIT,
    )
    .action(async (flags: InitFlags) => {
      const api = await context.connect()
      const answer = await api.local.init({
        advertiseAddress: flags.advertiseAddr ?? '',
        availability: choice(
          '--availability',
          flags.availability ?? 'active',
          AVAILABILITIES,
        ) as NodeAvailability,
        defaultAddressPools: flags.defaultAddrPool ?? [],
        defaultSubnetSize: wholeNumber(
          '--default-addr-pool-mask-length',
          flags.defaultAddrPoolMaskLength ?? '0',
        ),
        taskHistoryLimit: wholeNumber('--task-history-limit', flags.taskHistoryLimit, -1_000_000),
        certificateValidityMs: durationMs('--cert-expiry', flags.certExpiry) ?? 0,
        heartbeatMs: durationMs('--dispatcher-heartbeat', flags.dispatcherHeartbeat) ?? 0,
        forceNewCluster: flags.forceNewCluster ?? false,
        autolock: flags.autolock ?? false,
        clusterName: flags.clusterName ?? '',
      })
      context.stdout.write(
        `Swarm initialized: current node (${answer.nodeId}) is now a manager.\n\n` +
          `${joinHint('worker', answer.workerToken, answer.address)}\n` +
          "To add a manager to this swarm, run 'skein swarm join-token manager' and follow the instructions.\n\n" +
          'One manager is a single point of failure. Three survive the loss of one.\n',
      )
    })
}

/** How another node joins. */
export function joinHint(role: 'worker' | 'manager', token: string, address: string): string {
  return (
    `To add a ${role} to this swarm, run the following command:\n\n` +
    `    skein swarm join --token ${token} ${address}\n`
  )
}
