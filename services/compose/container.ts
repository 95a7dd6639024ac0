import type { ContainerSpecInit } from '../../proto/index.ts'
import { parseBytes } from '../resource/parse.ts'
import { readNamedFile } from './path.ts'
import type { Reader } from './reader.ts'
import { shellWords } from './shell-words.ts'
import type { Context } from './stack.ts'

/** The keys of a service that speak of its containers alone (row ST-28, and what Swarm ignores: ST-29, ST-32). */
export function readContainer(service: Reader, context: Context): ContainerSpecInit {
  const text = (key: string): string => service.get(key)?.text() ?? ''
  const flag = (key: string): boolean => service.get(key)?.boolean() ?? false
  const list = (key: string): readonly string[] =>
    service
      .get(key)
      ?.items()
      .map(item => item.text()) ?? []
  const more = (key: string): readonly string[] => service.get(key)?.oneOrMore() ?? []
  const dns = { nameservers: more('dns'), search: more('dns_search'), options: list('dns_opt') }
  const shm = service.get('shm_size')
  const grace = service.get('stop_grace_period')
  const oom = service.get('oom_score_adj')
  const mode = service.get('network_mode')
  const health = service.get('healthcheck')
  const pull = service.get('pull_policy')
  const hasDns = Object.values(dns).some(values => values.length > 0)
  return {
    image: text('image'),
    labels: service.get('labels')?.texts() ?? {},
    command: words(service.get('entrypoint')),
    args: words(service.get('command')),
    hostname: text('hostname'),
    domainname: text('domainname'),
    env: readEnv(service, context),
    dir: text('working_dir'),
    user: text('user'),
    groups: list('group_add'),
    ...(service.get('init') === undefined ? {} : { init: flag('init') }),
    tty: flag('tty'),
    openStdin: flag('stdin_open'),
    readOnly: flag('read_only'),
    stopSignal: text('stop_signal'),
    ...(grace === undefined ? {} : { stopGraceMs: grace.durationMs() }),
    hosts: readHosts(service.get('extra_hosts')),
    ...(hasDns ? { dns } : {}),
    capAdd: list('cap_add'),
    capDrop: list('cap_drop'),
    sysctls: service.get('sysctls')?.texts() ?? {},
    ulimits: (service.get('ulimits')?.entries() ?? []).map(([name, value]) =>
      readUlimit(name, value),
    ),
    privileged: flag('privileged'),
    devices: (service.get('devices')?.items() ?? []).map(readDevice),
    ...(health === undefined ? {} : { healthcheck: readHealthcheck(health) }),
    ...(oom === undefined ? {} : { oomScoreAdj: oom.integer(-1000, 1000) }),
    ...(shm === undefined ? {} : { shmSizeBytes: shm.parsed(parseBytes) }),
    securityOptions: list('security_opt'),
    pidMode: text('pid'),
    ipcMode: text('ipc'),
    usernsMode: text('userns_mode'),
    cgroupParent: text('cgroup_parent'),
    runtime: text('runtime'),
    isolation: text('isolation'),
    platform: text('platform'),
    ...(mode === undefined ? {} : { networkMode: mode.choice({ host: 'host', none: 'none' }) }),
    ...(pull === undefined
      ? {}
      : {
          pull: {
            policy: pull.choice({
              always: 'always',
              never: 'never',
              missing: 'missing',
              if_not_present: 'missing',
            }),
          },
        }),
  }
}

/** A command as one line or as words. */
function words(reader: Reader | undefined): readonly string[] {
  if (reader === undefined) return []
  return reader.isList ? reader.items().map(item => item.text()) : reader.parsed(shellWords)
}

/** env_file first, environment over it, sorted (rows SF-09, ST-38). A key without value takes ours, or stays away. */
function readEnv(service: Reader, context: Context): readonly string[] {
  const own = (key: string): string | undefined =>
    Object.hasOwn(context.options.env, key) ? context.options.env[key] : undefined
  const env = new Map<string, string>()
  const files = service.get('env_file')
  for (const file of files === undefined ? [] : files.isList ? files.items() : [files])
    for (const [key, value] of readEnvFile(file, context)) env.set(key, value)
  for (const [key, value] of service.get('environment')?.mapping(own) ?? []) env.set(key, value)
  return [...env].map(([key, value]) => `${key}=${value}`).toSorted()
}

function readEnvFile(reader: Reader, context: Context): readonly (readonly [string, string])[] {
  if (reader.isMap) reader.only(['path', 'required'])
  const name = reader.isMap ? (reader.get('path') ?? reader.fail('path must be given')) : reader
  const required = reader.isMap ? (reader.get('required')?.boolean() ?? true) : true
  let text: string
  try {
    text = new TextDecoder().decode(readNamedFile(name.text(), context.options, name))
  } catch (error) {
    if (required) throw error
    name.warn(`"${name.text()}" could not be read and is not required`)
    return []
  }
  const entries: (readonly [string, string])[] = []
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    const entry = line.replace(/^\uFEFF/, '').trimStart()
    if (entry === '' || entry.startsWith('#')) continue
    const [, key = '', value] = /^(?:export\s+)?([^=\s]+)\s*(?:=(.*))?$/.exec(entry) ?? []
    if (key === '') name.fail(`${name.text()}:${i + 1}: must be KEY=value`)
    const inherited = Object.hasOwn(context.options.env, key) ? context.options.env[key] : undefined
    const given = value === undefined ? inherited : unquote(value.trim())
    if (given !== undefined) entries.push([key, given])
  }
  return entries
}

function unquote(value: string): string {
  return /^"(.*)"$/s.exec(value)?.[1] ?? /^'(.*)'$/s.exec(value)?.[1] ?? value
}

function readHosts(reader: Reader | undefined): readonly string[] {
  if (reader === undefined) return []
  if (reader.isList) return reader.items().map(item => item.text().replace(/^([^:=]+)=/, '$1:'))
  return reader.entries().flatMap(([host, value]) => value.oneOrMore().map(ip => `${host}:${ip}`))
}

function readUlimit(name: string, reader: Reader): { name: string; soft: number; hard: number } {
  if (!reader.isMap) {
    const both = reader.integer(-1)
    return { name, soft: both, hard: both }
  }
  reader.only(['soft', 'hard'])
  const hard = reader.get('hard')?.integer(-1)
  const soft = reader.get('soft')?.integer(-1)
  if (hard === undefined || soft === undefined) return reader.fail('soft and hard must be given')
  return { name, soft, hard }
}

/** `/dev/a[:/dev/b[:rwm]]`. */
function readDevice(reader: Reader): NonNullable<ContainerSpecInit['devices']>[number] {
  const [host = '', container = host, permissions = 'rwm'] = reader.text().split(':')
  return { pathOnHost: host, pathInContainer: container, permissions }
}

function readHealthcheck(reader: Reader): ContainerSpecInit['healthcheck'] {
  reader.only('test interval timeout retries start_period start_interval disable'.split(' '))
  if (reader.get('disable')?.boolean() === true) return { test: ['NONE'] }
  const test = reader.get('test')
  return {
    test: test === undefined ? [] : test.isList ? test.oneOrMore() : ['CMD-SHELL', test.text()],
    intervalMs: reader.get('interval')?.durationMs() ?? 0,
    timeoutMs: reader.get('timeout')?.durationMs() ?? 0,
    startPeriodMs: reader.get('start_period')?.durationMs() ?? 0,
    startIntervalMs: reader.get('start_interval')?.durationMs() ?? 0,
    retries: reader.get('retries')?.integer(0, 2 ** 32 - 1) ?? 0,
  }
}
