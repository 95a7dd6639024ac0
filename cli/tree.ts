import type { CommandFactory } from './context.ts'

/** A command of the tree. Its module is loaded when it is called, not before, so that the program starts quickly. */
export interface Leaf {
  readonly name: string
  readonly summary: string
  readonly aliases?: readonly string[]
  readonly load: () => Promise<{ readonly command: CommandFactory }>
}

export interface Group {
  readonly name: string
  readonly summary: string
  readonly children: readonly Leaf[]
}

export const TREE: readonly (Leaf | Group)[] = [
  {
    name: 'init',
    summary: 'make this node the first manager (swarm init)',
    load: () => import('./commands/swarm/init.ts'),
  },
  {
    name: 'join',
    summary: 'join a cluster (swarm join)',
    load: () => import('./commands/swarm/join.ts'),
  },
  {
    name: 'deploy',
    summary: 'create or change a stack from a compose file',
    load: () => import('./commands/cluster/deploy.ts'),
  },
  {
    name: 'ps',
    summary: 'list tasks',
    load: () => import('./commands/cluster/ps.ts'),
  },
  {
    name: 'logs',
    summary: 'show the logs of services and tasks',
    load: () => import('./commands/cluster/logs.ts'),
  },
  {
    name: 'why',
    summary: 'explain why something waits or failed',
    aliases: ['explain'],
    load: () => import('./commands/cluster/why.ts'),
  },
  {
    name: 'swarm',
    summary: 'the cluster and this node in it',
    children: [
      {
        name: 'init',
        summary: 'make this node the first manager of a new cluster',
        load: () => import('./commands/swarm/init.ts'),
      },
      {
        name: 'join',
        summary: 'make this node a member of a cluster',
        load: () => import('./commands/swarm/join.ts'),
      },
      {
        name: 'leave',
        summary: 'take this node out of the cluster',
        load: () => import('./commands/swarm/leave.ts'),
      },
      {
        name: 'join-token',
        summary: 'show or replace the tokens new nodes join with',
        load: () => import('./commands/swarm/join-token.ts'),
      },
      {
        name: 'info',
        summary: 'show what this node is',
        load: () => import('./commands/swarm/info.ts'),
      },
    ],
  },
  {
    name: 'node',
    summary: 'nodes of the cluster',
    children: [
      {
        name: 'ls',
        summary: 'list nodes',
        aliases: ['list'],
        load: () => import('./commands/node/ls.ts'),
      },
      {
        name: 'inspect',
        summary: 'show nodes in full',
        load: () => import('./commands/node/inspect.ts'),
      },
      {
        name: 'update',
        summary: 'change a node: labels, availability, role',
        load: () => import('./commands/node/update.ts'),
      },
      {
        name: 'promote',
        summary: 'make nodes managers',
        load: () => import('./commands/node/promote.ts'),
      },
      {
        name: 'demote',
        summary: 'make managers workers again',
        load: () => import('./commands/node/demote.ts'),
      },
      {
        name: 'rm',
        summary: 'remove nodes',
        aliases: ['remove'],
        load: () => import('./commands/node/rm.ts'),
      },
      { name: 'ps', summary: 'list tasks on nodes', load: () => import('./commands/node/ps.ts') },
    ],
  },
  {
    name: 'service',
    summary: 'services',
    children: [
      {
        name: 'create',
        summary: 'create a service',
        load: () => import('./commands/service/create.ts'),
      },
      {
        name: 'ls',
        summary: 'list services',
        aliases: ['list'],
        load: () => import('./commands/service/ls.ts'),
      },
      {
        name: 'ps',
        summary: 'list the tasks of services',
        load: () => import('./commands/service/ps.ts'),
      },
      {
        name: 'inspect',
        summary: 'show services in full',
        load: () => import('./commands/service/inspect.ts'),
      },
      {
        name: 'scale',
        summary: 'set how many tasks services have',
        load: () => import('./commands/service/scale.ts'),
      },
      {
        name: 'update',
        summary: 'change a service',
        load: () => import('./commands/service/update.ts'),
      },
      {
        name: 'rollback',
        summary: 'go back to the spec before the last update',
        load: () => import('./commands/service/rollback.ts'),
      },
      {
        name: 'rm',
        summary: 'remove services',
        aliases: ['remove'],
        load: () => import('./commands/service/rm.ts'),
      },
      {
        name: 'logs',
        summary: 'show the logs of a service or task',
        load: () => import('./commands/service/logs.ts'),
      },
    ],
  },
  {
    name: 'stack',
    summary: 'stacks of services from compose files',
    children: [
      {
        name: 'deploy',
        summary: 'create or change a stack',
        aliases: ['up'],
        load: () => import('./commands/stack/deploy.ts'),
      },
      {
        name: 'ls',
        summary: 'list stacks',
        aliases: ['list'],
        load: () => import('./commands/stack/ls.ts'),
      },
      {
        name: 'ps',
        summary: 'list the tasks of a stack',
        load: () => import('./commands/stack/ps.ts'),
      },
      {
        name: 'services',
        summary: 'list the services of a stack',
        load: () => import('./commands/stack/services.ts'),
      },
      {
        name: 'rm',
        summary: 'remove stacks',
        aliases: ['remove', 'down'],
        load: () => import('./commands/stack/rm.ts'),
      },
    ],
  },
  {
    name: 'network',
    summary: 'networks that span the cluster',
    children: [
      {
        name: 'create',
        summary: 'create a network',
        load: () => import('./commands/network/create.ts'),
      },
      {
        name: 'ls',
        summary: 'list networks',
        aliases: ['list'],
        load: () => import('./commands/network/ls.ts'),
      },
      {
        name: 'inspect',
        summary: 'show networks in full',
        load: () => import('./commands/network/inspect.ts'),
      },
      {
        name: 'rm',
        summary: 'remove networks',
        aliases: ['remove'],
        load: () => import('./commands/network/rm.ts'),
      },
    ],
  },
  {
    name: 'secret',
    summary: 'secrets of services',
    children: [
      {
        name: 'create',
        summary: 'create a secret',
        load: () => import('./commands/secret/create.ts'),
      },
      {
        name: 'ls',
        summary: 'list secrets',
        aliases: ['list'],
        load: () => import('./commands/secret/ls.ts'),
      },
      {
        name: 'inspect',
        summary: 'show secrets, without their content',
        load: () => import('./commands/secret/inspect.ts'),
      },
      {
        name: 'rm',
        summary: 'remove secrets',
        aliases: ['remove'],
        load: () => import('./commands/secret/rm.ts'),
      },
    ],
  },
  {
    name: 'config',
    summary: 'configuration files of services',
    children: [
      {
        name: 'create',
        summary: 'create a config',
        load: () => import('./commands/config/create.ts'),
      },
      {
        name: 'ls',
        summary: 'list configs',
        aliases: ['list'],
        load: () => import('./commands/config/ls.ts'),
      },
      {
        name: 'inspect',
        summary: 'show configs in full',
        load: () => import('./commands/config/inspect.ts'),
      },
      {
        name: 'rm',
        summary: 'remove configs',
        aliases: ['remove'],
        load: () => import('./commands/config/rm.ts'),
      },
    ],
  },
  {
    name: 'cluster',
    summary: 'backup and disaster recovery',
    children: [
      {
        name: 'backup',
        summary: 'write the state of the cluster into a file',
        load: () => import('./commands/cluster/backup.ts'),
      },
      {
        name: 'restore',
        summary: 'begin the cluster of a backup anew on this host',
        load: () => import('./commands/cluster/restore.ts'),
      },
      {
        name: 'recover',
        summary: 'go on with one manager when a majority is gone',
        load: () => import('./commands/cluster/recover.ts'),
      },
    ],
  },
  {
    name: 'manager',
    summary: 'the managers',
    children: [
      {
        name: 'status',
        summary: 'show the group of managers',
        load: () => import('./commands/manager/status.ts'),
      },
      {
        name: 'repair',
        summary: "salvage this manager's damaged log while its daemon is stopped",
        load: () => import('./commands/manager/repair.ts'),
      },
    ],
  },
  {
    name: 'info',
    summary: 'show the node and the cluster',
    load: () => import('./commands/cluster/info.ts'),
  },
  {
    name: 'version',
    summary: 'show versions',
    load: () => import('./commands/cluster/version.ts'),
  },
]

/** The entry of a name or alias. */
export function entryOf<T extends Leaf | Group>(
  entries: readonly T[],
  name: string,
): T | undefined {
  return entries.find(
    entry => entry.name === name || ('aliases' in entry && entry.aliases?.includes(name)),
  )
}
