import { hostname } from 'node:os'
import { Command, InvalidArgumentError, Option } from 'commander'
import { StatusError } from '../runtime/errors.ts'
import type { Fs } from '../runtime/fs.ts'
import type { Level } from '../runtime/log.ts'

/** Everything a daemon can be told. Each is a flag, a key of the configuration file, or SKEIN_<KEY> in the environment. */
export interface DaemonConfig {
  /** Identity, Raft log, assignments. Default /var/lib/skein. */
  readonly dataDir: string
  /** Sockets and the tmpfs of secrets. Default /run/skein. */
  readonly runDir: string
  /** host:port of the gRPC server while the node is a manager. Default 0.0.0.0:2377. */
  readonly listen: string
  /** host:port of metrics and health. Default 0.0.0.0:9477. */
  readonly metricsListen: string
  /** The local engine's socket. Default /var/run/docker.sock. */
  readonly engineSocket: string
  /** Name of the node. Default: the host's name. */
  readonly hostname: string
  readonly logLevel: Level
  /** Base of Raft's randomised election timeout, ms. Default 500. */
  readonly electionTimeoutMs: number
  /** Interval of Raft's heartbeats, ms. Default 100. */
  readonly raftHeartbeatMs: number
  /** Log entries between two snapshots. Default 10,000. */
  readonly snapshotEntries: number
  /** Below this many MiB of free space on the disk of dataDir a manager takes no changes. Default 64. */
  readonly minFreeMib: number
}

/** A configuration file: its name for messages, and what its YAML says. */
export interface ConfigFile {
  readonly name: string
  readonly content: unknown
}

/** Where the configuration is looked for unless told otherwise. */
export const CONFIG_FILE = '/etc/skein/skein.yml'

/** Reads a configuration file; undefined when there is none. */
export async function configFile(fs: Fs, name: string): Promise<ConfigFile | undefined> {
  const bytes = await fs.read(name)
  if (!bytes) return undefined
  const { parse } = await import('yaml')
  return { name, content: parse(new TextDecoder().decode(bytes)) as unknown }
}

const DEFAULTS: DaemonConfig = {
  dataDir: '/var/lib/skein',
  runDir: '/run/skein',
  listen: '0.0.0.0:2377',
  metricsListen: '0.0.0.0:9477',
  engineSocket: '/var/run/docker.sock',
  hostname: hostname(),
  logLevel: 'info',
  electionTimeoutMs: 500,
  raftHeartbeatMs: 100,
  snapshotEntries: 10_000,
  minFreeMib: 64,
}

/** The flags of `skein daemon`. Defaults stand in DaemonConfig, so that a flag left out does not hide the file's value. */
export function daemonCommand(): Command {
  return new Command('skein daemon')
    .description('Run the node: the agent always, the manager while the node has that role.')
    .showHelpAfterError('See: skein daemon --help')
    .option('--config <file>', 'configuration file (YAML)', CONFIG_FILE)
    .option('--data-dir <dir>', `state directory (default: ${DEFAULTS.dataDir})`)
    .option('--run-dir <dir>', `sockets and secrets (default: ${DEFAULTS.runDir})`)
    .option(
      '--listen <host:port>',
      `gRPC address of a manager (default: ${DEFAULTS.listen})`,
      address,
    )
    .option(
      '--metrics-listen <host:port>',
      `metrics and health (default: ${DEFAULTS.metricsListen})`,
      address,
    )
    .option('--engine-socket <path>', `the engine's socket (default: ${DEFAULTS.engineSocket})`)
    .option('--hostname <name>', "name of the node (default: the host's)")
    .addOption(new Option('--log-level <level>', 'least level logged').choices(LEVELS))
    .option('--election-timeout-ms <ms>', 'Raft election timeout', positive)
    .option('--raft-heartbeat-ms <ms>', 'Raft heartbeat interval', positive)
    .option('--snapshot-entries <n>', 'log entries between snapshots', positive)
    .option(
      '--min-free-mib <n>',
      `free disk space below which a manager takes no changes (default: ${DEFAULTS.minFreeMib})`,
      positive,
    )
}

const LEVELS: readonly Level[] = ['debug', 'info', 'warn', 'error']

/**
 * Defaults, then the file, then the environment, then flags.
 *
 * @param file the configuration file as parsed, undefined when there is none
 * @throws StatusError InvalidArgument naming the unknown key or bad value and where it stands
 */
export function resolveConfig(
  flags: Readonly<Record<string, unknown>>,
  env: Readonly<Record<string, string | undefined>>,
  file: ConfigFile | undefined,
): DaemonConfig {
  const config: Record<string, unknown> = { ...DEFAULTS }
  const assign = (key: string, value: unknown, place: string): void => {
    config[key] = checked(key as keyof DaemonConfig, value, place)
  }
  for (const [name, value] of Object.entries(fromFile(file))) {
    assign(camel(name), value, `${file?.name}: ${name}`)
  }
  for (const key of Object.keys(DEFAULTS)) {
    const name = `SKEIN_${key.replace(/[A-Z]/g, letter => `_${letter}`).toUpperCase()}`
    if (env[name] !== undefined) assign(key, env[name], name)
  }
  for (const [key, value] of Object.entries(flags)) {
    if (key !== 'config' && value !== undefined) assign(key, value, `--${kebab(key)}`)
  }
  return config as unknown as DaemonConfig
}

function fromFile(file: ConfigFile | undefined): Record<string, unknown> {
  if (!file) return {}
  const parsed = file.content
  if (parsed === null || parsed === undefined) return {}
  if (typeof parsed === 'object' && !Array.isArray(parsed)) return parsed as Record<string, unknown>
  throw new StatusError('InvalidArgument', `${file.name}: expected a mapping of options to values`)
}

function checked(key: keyof DaemonConfig, value: unknown, place: string): string | number {
  const fallback = DEFAULTS[key]
  if (fallback === undefined) {
    const known = Object.keys(DEFAULTS).map(kebab).join(', ')
    throw new StatusError('InvalidArgument', `${place}: unknown option; known are ${known}`)
  }
  if (typeof fallback === 'number') {
    const number = Number(value)
    if (Number.isFinite(number) && number > 0) return number
    throw new StatusError(
      'InvalidArgument',
      `${place}: expected a positive number, got "${String(value)}"`,
    )
  }
  if (typeof value !== 'string' || value === '') {
    throw new StatusError('InvalidArgument', `${place}: expected text, got "${String(value)}"`)
  }
  if (key === 'logLevel' && !LEVELS.includes(value as Level)) {
    throw new StatusError(
      'InvalidArgument',
      `${place}: expected one of ${LEVELS.join(', ')}, got "${value}"`,
    )
  }
  return value
}

/** "10.0.0.1:2377" as its parts. @throws StatusError InvalidArgument */
export function splitAddress(text: string): { host: string; port: number } {
  const match = /^(.+):(\d{1,5})$/.exec(text)
  const port = Number(match?.[2])
  if (!match?.[1] || !(port <= 65_535)) {
    throw new StatusError('InvalidArgument', `"${text}" is not an address of the form host:port`)
  }
  return { host: match[1].replace(/^\[|\]$/g, ''), port }
}

function address(text: string): string {
  try {
    splitAddress(text)
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
  return text
}

function positive(text: string): number {
  const number = Number(text)
  if (Number.isFinite(number) && number > 0) return number
  throw new InvalidArgumentError('expected a positive number')
}

const camel = (name: string): string =>
  name.replace(/[-_]([a-z])/g, (_, letter: string) => letter.toUpperCase())
const kebab = (name: string): string => name.replace(/[A-Z]/g, letter => `-${letter.toLowerCase()}`)
