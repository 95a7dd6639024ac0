import type { ContainerSpec, Healthcheck } from '../../proto/index.ts'
import { tryIpToNumber } from '../net/ip.ts'
import { type Fail, checkAtLeastZero, checkKeys, checkTemplated, isIpv6 } from './check.ts'
import { isImageReference } from './image.ts'
import { validateMounts } from './validate-mounts.ts'

const ULIMITS = new Set(
  'core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(
    ' ',
  ),
)
const PULL_POLICIES = ['', 'missing', 'always', 'never']
const NETWORK_MODES = ['', 'host', 'none']

/** Rules of a container (rows SV-13, SV-14 and the engine's own), so that no task is rejected for its spec. */
export function validateContainer(container: ContainerSpec, path: string, fail: Fail): void {
  const { image } = container
  if (image === '') fail(`${path}.image`, 'image reference must be provided')
  if (!isImageReference(image)) fail(`${path}.image`, `"${image}" is not a valid repository/tag`)
  validateProcess(container, path, fail)
  validateMounts(container.mounts, `${path}.mounts`, fail)
  validateFiles(container, path, fail)
  validateHosts(container, path, fail)
  validateLimits(container, path, fail)
  if (container.healthcheck !== null)
    validateHealthcheck(container.healthcheck, `${path}.healthcheck`, fail)
}

function validateProcess(container: ContainerSpec, path: string, fail: Fail): void {
  checkTemplated(container.hostname, `${path}.hostname`, fail)
  for (const [i, entry] of container.env.entries()) {
    if (!/^[^=\0]+(?:=[^\0]*)?$/s.test(entry))
      fail(`${path}.env[${i}]`, `"${entry}" is not KEY or KEY=value`)
    checkTemplated(entry.slice(entry.indexOf('=') + 1), `${path}.env[${i}]`, fail)
  }
  if (container.dir !== '' && !container.dir.startsWith('/'))
    fail(`${path}.dir`, `working directory "${container.dir}" must be an absolute path`)
  if (container.stopSignal !== '' && !/^(?:\d{1,2}|[A-Z][A-Z0-9+-]*)$/i.test(container.stopSignal))
    fail(`${path}.stopSignal`, `"${container.stopSignal}" is not a signal`)
  checkAtLeastZero(container.stopGraceMs ?? 0, `${path}.stopGraceMs`, fail)
  if (!NETWORK_MODES.includes(container.networkMode))
    fail(`${path}.networkMode`, `must be host or none, is "${container.networkMode}"`)
  if (container.pull !== null && !PULL_POLICIES.includes(container.pull.policy))
    fail(`${path}.pull.policy`, `must be missing, always or never, is "${container.pull.policy}"`)
  for (const field of ['capAdd', 'capDrop'] as const)
    for (const [i, name] of container[field].entries())
      if (!/^[a-z][a-z0-9_]*$/i.test(name))
        fail(`${path}.${field}[${i}]`, `"${name}" is not a capability`)
  checkKeys(container.labels, `${path}.labels`, fail)
}

interface FileReference {
  readonly name: string
  readonly id: string
  readonly file: ContainerSpec['secrets'][number]['file']
}

function validateFiles(container: ContainerSpec, path: string, fail: Fail): void {
  validateReferences(
    'secret',
    container.secrets.map(({ secretName, secretId, file }) => ({
      name: secretName,
      id: secretId,
      file,
    })),
    `${path}.secrets`,
    fail,
  )
  validateReferences(
    'config',
    container.configs.map(({ configName, configId, file }) => ({
      name: configName,
      id: configId,
      file,
    })),
    `${path}.configs`,
    fail,
  )
}

function validateReferences(
  kind: 'secret' | 'config',
  references: readonly FileReference[],
  path: string,
  fail: Fail,
): void {
  const base = kind === 'secret' ? '/run/secrets/' : '/'
  const owners = new Map<string, string>()
  for (const [i, { name, id, file }] of references.entries()) {
    const place = `${path}[${i}]`
    const shown = name === '' ? id : name
    if (shown === '') fail(place, `must name a ${kind}`)
    if (file === null || file.name === '') fail(`${place}.file.name`, 'a target must be given')
    const target = file.name.startsWith('/') ? file.name : `${base}${file.name}`
    const other = owners.get(target)
    if (other !== undefined)
      fail(
        place,
        `${kind} references '${other}' and '${shown}' have a conflicting target: '${file.name}'`,
      )
    owners.set(target, shown)
    for (const field of ['uid', 'gid'] as const)
      if (!/^\d*$/.test(file[field]))
        fail(`${place}.file.${field}`, `must be a number, is "${file[field]}"`)
    if (file.mode > 0o7777) fail(`${place}.file.mode`, `${file.mode} is not a file mode`)
  }
}

function validateHosts(container: ContainerSpec, path: string, fail: Fail): void {
  for (const [i, entry] of container.hosts.entries()) {
    const at = entry.search(/[:=]/)
    const address = entry.slice(at + 1)
    if (at < 1 || !(isAddress(address) || address === 'host-gateway'))
      fail(`${path}.hosts[${i}]`, `"${entry}" is not HOST:IP`)
  }
  for (const [i, server] of (container.dns?.nameservers ?? []).entries())
    if (!isAddress(server))
      fail(`${path}.dns.nameservers[${i}]`, `"${server}" is not an IP address`)
}

function isAddress(text: string): boolean {
  return tryIpToNumber(text) !== undefined || isIpv6(text.replace(/^\[(.*)\]$/, '$1'))
}

function validateLimits(container: ContainerSpec, path: string, fail: Fail): void {
  const seen = new Set<string>()
  for (const [i, { name, soft, hard }] of container.ulimits.entries()) {
    const place = `${path}.ulimits[${i}]`
    if (!ULIMITS.has(name)) fail(place, `unknown ulimit "${name}"`)
    if (seen.has(name)) fail(place, `ulimit "${name}" is given twice`)
    if (hard !== -1 && (soft > hard || soft === -1))
      fail(place, `soft limit ${soft} of "${name}" is above the hard limit ${hard}`)
    seen.add(name)
  }
  for (const key of Object.keys(container.sysctls))
    if (!/^[a-zA-Z0-9_\-./]+$/.test(key))
      fail(`${path}.sysctls`, `"${key}" is not a kernel parameter`)
  for (const [i, device] of container.devices.entries()) {
    if (device.pathOnHost === '') fail(`${path}.devices[${i}].pathOnHost`, 'must be given')
    if (!/^[rwm]{0,3}$/.test(device.permissions))
      fail(
        `${path}.devices[${i}].permissions`,
        `must be made of r, w and m, is "${device.permissions}"`,
      )
  }
  if ((container.pidsLimit ?? 0) < -1) fail(`${path}.pidsLimit`, 'must be -1 or more')
  if (Math.abs(container.oomScoreAdj ?? 0) > 1000)
    fail(`${path}.oomScoreAdj`, 'must be between -1000 and 1000')
  checkAtLeastZero(container.shmSizeBytes ?? 0, `${path}.shmSizeBytes`, fail)
}

function validateHealthcheck(check: Healthcheck, path: string, fail: Fail): void {
  for (const field of ['intervalMs', 'timeoutMs', 'startPeriodMs', 'startIntervalMs'] as const)
    checkAtLeastZero(check[field], `${path}.${field}`, fail)
  const [kind, ...rest] = check.test
  if (kind === undefined) return
  if (kind !== 'NONE' && kind !== 'CMD' && kind !== 'CMD-SHELL')
    fail(`${path}.test`, `must start with CMD, CMD-SHELL or NONE, starts with "${kind}"`)
  if (kind === 'NONE' && rest.length > 0) fail(`${path}.test`, 'NONE takes no command')
  if (kind === 'CMD' && rest.length === 0) fail(`${path}.test`, 'CMD needs a command')
  if (kind === 'CMD-SHELL' && rest.length !== 1)
    fail(`${path}.test`, 'CMD-SHELL takes one command line')
}
