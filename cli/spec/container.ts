import { v1 } from '../../proto/index.ts'
import { make } from '../../proto/codec.ts'
import { parseBytes } from '../../services/resource/parse.ts'
import { usage } from '../failure.ts'
import { capability, parseDevice, parseHost, parseUlimit } from '../flags/container.ts'
import { parseMount } from '../flags/mount.ts'
import { parsePayload } from '../flags/reference.ts'
import { durationMs, pairs, read, wholeNumber, words } from '../flags/values.ts'
import { type Draft, draftOf, type SpecDraft } from './draft.ts'
import type { Flags } from './flags.ts'
import { applyMap, replaceBy, without } from './lists.ts'
import type { References } from './references.ts'

type TaskDraft = NonNullable<SpecDraft['task']>
type ContainerDraft = NonNullable<TaskDraft['container']>

/** The part of applyFlags() that says what runs in the container. */
export function applyContainer(
  task: TaskDraft,
  flags: Flags,
  references: References,
  env: readonly string[],
): void {
  const container = (task.container ??= draftOf(make(v1.ContainerSpec, {})))
  applyTexts(container, flags)
  container.env = replaceBy(
    container.env.filter(entry => !flags.removed('env').includes(variable(entry))),
    [...env],
    variable,
  )
  applyMap(
    container.labels,
    pairs('--container-label', flags.added('containerLabel')),
    flags.removed('containerLabel'),
  )
  applyMap(container.sysctls, pairs('--sysctl', flags.added('sysctl')), flags.removed('sysctl'))
  container.mounts = replaceBy(
    without('--mount-rm', container.mounts, flags.removed('mount'), mount => mount.target),
    flags.added('mount').map(text => draftOf(parseMount(text))),
    mount => mount.target,
  )
  container.ulimits = replaceBy(
    without('--ulimit-rm', container.ulimits, flags.removed('ulimit'), limit => limit.name),
    flags.added('ulimit').map(text => parseUlimit(text)),
    limit => limit.name,
  )
  container.devices = replaceBy(
    without('--device-rm', container.devices, flags.removed('device'), device => device.pathOnHost),
    flags.added('device').map(text => parseDevice(text)),
    device => device.pathOnHost,
  )
  container.groups = listed('--group', container.groups, flags, 'group')
  applyHosts(container, flags)
  applyDns(container, flags)
  applyCapabilities(container, flags)
  applyHealth(container, flags)
  applyPayloads(container, flags, references)
}

function applyTexts(container: ContainerDraft, flags: Flags): void {
  container.image = flags.text('image') ?? container.image
  container.hostname = flags.text('hostname') ?? container.hostname
  container.user = flags.text('user') ?? container.user
  container.dir = flags.text('workdir') ?? container.dir
  container.stopSignal = flags.text('stopSignal') ?? container.stopSignal
  container.tty = flags.bool('tty') ?? container.tty
  container.readOnly = flags.bool('readOnly') ?? container.readOnly
  container.privileged = flags.bool('privileged') ?? container.privileged
  const init = flags.bool('init')
  if (init !== undefined) container.init = init
  const entrypoint = flags.text('entrypoint')
  if (entrypoint !== undefined) container.command = words('--entrypoint', entrypoint)
  const args = flags.text('args')
  if (args !== undefined) container.args = words('--args', args)
  const graceMs = durationMs('--stop-grace-period', flags.text('stopGracePeriod'))
  if (graceMs !== undefined) container.stopGraceMs = graceMs
  const pids = flags.text('limitPids')
  if (pids !== undefined) container.pidsLimit = wholeNumber('--limit-pids', pids)
  const score = flags.text('oomScoreAdj')
  if (score !== undefined) container.oomScoreAdj = wholeNumber('--oom-score-adj', score, -1000)
  const shm = flags.text('shmSize')
  if (shm !== undefined) container.shmSizeBytes = read('--shm-size', shm, parseBytes)
}

function variable(entry: string): string {
  return entry.split('=')[0] ?? entry
}

function listed(flag: string, before: readonly string[], flags: Flags, name: string): string[] {
  return replaceBy(
    without(`${flag}-rm`, before, flags.removed(name), text => text),
    [...flags.added(name)],
    text => text,
  )
}

/** `--host-rm` takes the name alone or name:ip (swarm row SF-36). */
function applyHosts(container: ContainerDraft, flags: Flags): void {
  const gone = flags.removed('host')
  const kept = container.hosts.filter(
    entry => !gone.includes(entry) && !gone.includes(entry.split(':')[0] ?? ''),
  )
  const added = flags.added('host').map(text => parseHost(text))
  container.hosts = replaceBy(kept, added, text => text)
}

function applyDns(container: ContainerDraft, flags: Flags): void {
  const names = ['dns', 'dnsOption', 'dnsSearch']
  if (!names.some(name => flags.added(name).length + flags.removed(name).length > 0)) return
  const dns = (container.dns ??= draftOf(make(v1.DnsConfig, {})))
  dns.nameservers = listed('--dns', dns.nameservers, flags, 'dns')
  dns.options = listed('--dns-option', dns.options, flags, 'dnsOption')
  dns.search = listed('--dns-search', dns.search, flags, 'dnsSearch')
}

/** Adding takes a capability from the drops and the other way round; RESET empties a list (swarm row SF-19). */
function applyCapabilities(container: ContainerDraft, flags: Flags): void {
  const added = flags.list('capAdd').map(capability)
  const dropped = flags.list('capDrop').map(capability)
  const merge = (before: readonly string[], more: readonly string[], less: readonly string[]) => {
    const kept = more.includes('RESET') ? [] : before.filter(name => !less.includes(name))
    return [...new Set([...kept, ...more.filter(name => name !== 'RESET')])].toSorted()
  }
  if (added.length + dropped.length === 0) return
  container.capDrop = merge(container.capDrop, dropped, added).filter(name => !added.includes(name))
  container.capAdd = merge(container.capAdd, added, dropped)
}

function applyHealth(container: ContainerDraft, flags: Flags): void {
  const names = ['Cmd', 'Interval', 'Timeout', 'Retries', 'StartPeriod', 'StartInterval']
  const isAsked = names.some(name => flags.has(`health${name}`))
  if (flags.bool('healthcheck') === false) {
    if (isAsked) throw usage('--no-healthcheck conflicts with --health-* options')
    container.healthcheck = draftOf(make(v1.Healthcheck, { test: ['NONE'] }))
    return
  }
  if (!isAsked) return
  const health: Draft<typeof container.healthcheck> =
    container.healthcheck ?? draftOf(make(v1.Healthcheck, {}))
  if (health === null) return
  container.healthcheck = health
  const command = flags.text('healthCmd')
  if (command !== undefined) health.test = command === '' ? [] : ['CMD-SHELL', command]
  else if (health.test[0] === 'NONE') health.test = []
  const duration = (name: string, flag: string): number | undefined =>
    durationMs(flag, flags.text(name))
  health.intervalMs = duration('healthInterval', '--health-interval') ?? health.intervalMs
  health.timeoutMs = duration('healthTimeout', '--health-timeout') ?? health.timeoutMs
  health.startPeriodMs =
    duration('healthStartPeriod', '--health-start-period') ?? health.startPeriodMs
  health.startIntervalMs =
    duration('healthStartInterval', '--health-start-interval') ?? health.startIntervalMs
  const retries = flags.text('healthRetries')
  if (retries !== undefined) health.retries = wholeNumber('--health-retries', retries)
}

function applyPayloads(container: ContainerDraft, flags: Flags, references: References): void {
  const secrets = flags.added('secret').map(text => {
    const { source, file } = parsePayload(text, '--secret')
    const { id, name } = references.secret(source)
    return { secretId: id, secretName: name, file: { ...file, name: file.name || name } }
  })
  container.secrets = replaceBy(
    without(
      '--secret-rm',
      container.secrets,
      flags.removed('secret'),
      reference => reference.secretName,
    ),
    secrets,
    reference => reference.file?.name ?? reference.secretName,
  )
  const configs = flags.added('config').map(text => {
    const { source, file } = parsePayload(text, '--config')
    const { id, name } = references.config(source)
    return { configId: id, configName: name, file: { ...file, name: file.name || name } }
  })
  container.configs = replaceBy(
    without(
      '--config-rm',
      container.configs,
      flags.removed('config'),
      reference => reference.configName,
    ),
    configs,
    reference => reference.file?.name ?? reference.configName,
  )
}
