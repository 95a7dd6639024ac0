import { type Command, Option } from 'commander'
import { collect } from '../filters.ts'

/** Flags that may be given several times; `update` has them as `--x-add` and `--x-rm`. */
const LISTS: readonly (readonly [name: string, value: string, what: string, short?: string])[] = [
  ['config', 'CONFIG', 'a config the tasks may read: NAME or source=,target=,uid=,gid=,mode='],
  ['constraint', 'EXPR', 'placement constraint, e.g. node.labels.zone==a'],
  ['container-label', 'K=V', "label of the service's containers"],
  ['device', 'HOST[:CTR[:rwm]]', 'host device for the containers'],
  ['dns', 'IP', 'DNS server'],
  ['dns-option', 'OPTION', 'DNS option'],
  ['dns-search', 'DOMAIN', 'DNS search domain'],
  ['env', 'K[=V]', 'environment variable', '-e'],
  ['generic-resource', 'KIND=N', 'reserved generic resource, e.g. gpu=1'],
  ['group', 'GROUP', 'supplementary group of the user'],
  ['host', 'HOST:IP', 'line for /etc/hosts'],
  ['label', 'K=V', 'label of the service', '-l'],
  ['mount', 'MOUNT', 'mount: type=,source=,target=,readonly,…'],
  ['network', 'NETWORK', 'network: NAME or name=,alias=,ip=,driver-opt='],
  ['placement-pref', 'spread=LABEL', 'spread over the values of a label'],
  ['publish', 'PORT', 'published port: 8080:80/tcp or published=,target=,protocol=,mode=', '-p'],
  ['secret', 'SECRET', 'a secret the tasks may read: NAME or source=,target=,uid=,gid=,mode='],
  ['sysctl', 'K=V', 'kernel setting of the containers'],
  ['ulimit', 'NAME=SOFT[:HARD]', 'resource limit of the processes'],
]

const SINGLES: readonly (readonly [flag: string, what: string])[] = [
  ['--endpoint-mode <mode>', 'how the name resolves: vip, dnsrr'],
  ['--entrypoint <command>', "replaces the image's ENTRYPOINT"],
  ['--health-cmd <command>', 'command that checks the health'],
  ['--health-interval <duration>', 'time between two checks'],
  ['--health-retries <n>', 'failed checks until unhealthy'],
  ['--health-start-interval <duration>', 'time between checks while starting'],
  ['--health-start-period <duration>', 'time in which failed checks do not count'],
  ['--health-timeout <duration>', 'longest a check may take'],
  ['--hostname <name>', 'host name in the containers (templates allowed)'],
  ['--limit-cpu <cpus>', 'most CPUs a task may use'],
  ['--limit-memory <bytes>', 'most memory a task may use'],
  ['--limit-pids <n>', 'most processes a task may have (0: no limit)'],
  ['--log-driver <name>', 'log driver of the containers'],
  ['--memory-swap <bytes>', 'swap beside the memory limit (-1: no limit)'],
  ['--memory-swappiness <n>', 'how readily memory is swapped, 0 to 100'],
  ['--oom-score-adj <n>', "adjusts the host's choice of what to kill, -1000 to 1000"],
  ['--replicas <n>', 'how many tasks'],
  ['--replicas-max-per-node <n>', 'most tasks on one node (0: no limit)'],
  ['--reserve-cpu <cpus>', 'CPUs set aside for a task'],
  ['--reserve-memory <bytes>', 'memory set aside for a task'],
  ['--restart-condition <when>', 'restart on: any, on-failure, none (default: any)'],
  ['--restart-delay <duration>', 'wait before a restart (default: 5s)'],
  ['--restart-max-attempts <n>', 'restarts before giving up (0: no limit)'],
  ['--restart-window <duration>', 'time in which restarts are counted'],
  ['--rollback-delay <duration>', 'wait between two tasks of a roll-back'],
  ['--rollback-failure-action <action>', 'when a roll-back fails: pause, continue'],
  ['--rollback-max-failure-ratio <ratio>', 'failed part a roll-back bears'],
  ['--rollback-monitor <duration>', 'time a task is watched for failure (default: 5s)'],
  ['--rollback-order <order>', 'start-first or stop-first'],
  ['--rollback-parallelism <n>', 'tasks rolled back at a time (0: all)'],
  ['--shm-size <bytes>', 'size of /dev/shm'],
  ['--stop-grace-period <duration>', 'time between the stop signal and the kill (default: 10s)'],
  ['--stop-signal <signal>', 'signal that stops a container'],
  ['--update-delay <duration>', 'wait between two tasks of an update'],
  ['--update-failure-action <action>', 'when an update fails: pause, continue, rollback'],
  ['--update-max-failure-ratio <ratio>', 'failed part an update bears'],
  ['--update-monitor <duration>', 'time a task is watched for failure (default: 5s)'],
  ['--update-order <order>', 'start-first or stop-first'],
  ['--update-parallelism <n>', 'tasks updated at a time (0: all)'],
  ['-u, --user <user>', 'name or uid, with :group'],
  ['-w, --workdir <dir>', 'working directory'],
]

const SWITCHES: readonly (readonly [name: string, what: string])[] = [
  ['init', 'run an init in front of the process'],
  ['privileged', 'give the containers the rights of the host'],
  ['read-only', "mount the image's file system read-only"],
]

/** The flags `service create` and `service update` share (swarm rows SF-01 to SF-56). */
export function addServiceOptions(command: Command, kind: 'create' | 'update'): Command {
  for (const [name, value, what, short] of LISTS) {
    if (kind === 'create') {
      command.option(
        `${short ? `${short}, ` : ''}--${name} <${value}>`,
        `${what} (repeatable)`,
        collect,
      )
    } else {
      command.option(`--${name}-add <${value}>`, `add or replace: ${what} (repeatable)`, collect)
      command.option(
        `--${name}-rm <${RM_VALUES[name] ?? value}>`,
        'remove it (repeatable)',
        collect,
      )
    }
  }
  for (const [flag, what] of SINGLES) command.option(flag, what)
  for (const [name, what] of SWITCHES) {
    command.option(`--${name}`, what).addOption(new Option(`--no-${name}`).hideHelp())
  }
  return command
    .option('-t, --tty', 'give the containers a terminal')
    .addOption(new Option('--no-tty').hideHelp())
    .option(
      '--address <NETWORK=IP,IP,…>',
      'address of each slot on a network (repeatable)',
      collect,
    )
    .option('--cap-add <capability>', 'capability to add (repeatable)', collect)
    .option('--cap-drop <capability>', 'capability to drop (repeatable)', collect)
    .option('--log-opt <k=v>', 'option of the log driver (repeatable)', collect)
    .option('--no-healthcheck', "ignore the image's health check")
    .addOption(new Option('--with-registry-auth', 'accepted for compatibility').hideHelp())
    .addOption(new Option('--no-resolve-image', 'accepted for compatibility').hideHelp())
}

/** What names an entry that is to go. */
const RM_VALUES: Readonly<Record<string, string>> = {
  'container-label': 'KEY',
  env: 'KEY',
  label: 'KEY',
  mount: 'TARGET',
  publish: 'TARGET[/PROTOCOL]',
  secret: 'NAME',
  config: 'NAME',
  sysctl: 'KEY',
  ulimit: 'NAME',
  'generic-resource': 'KIND',
  network: 'NAME',
  device: 'HOST',
}

/** The flags of every command that waits. */
export function addWaitOptions(command: Command): Command {
  return command
    .option('-d, --detach', 'do not wait until it is done')
    .option('-q, --quiet', 'no progress')
    .option('--timeout <duration>', 'give up waiting (default: 10m without a terminal)')
}
