import type { GenericResource } from '../../proto/index.ts'
import { usage } from '../failure.ts'
import { wholeNumber } from './values.ts'

/** `nofile=1024:2048`; -1 is unlimited (swarm row SF-21). @throws Failure (usage) */
export function parseUlimit(
  text: string,
  flag = '--ulimit',
): { name: string; soft: number; hard: number } {
  const match = /^([a-z]+)=(-1|\d+)(?::(-1|\d+))?$/.exec(text)
  if (match === null) throw usage(`${flag}: "${text}": write name=soft:hard`)
  const [, name = '', soft = '', hard = soft] = match
  if (Number(hard) !== -1 && (Number(soft) > Number(hard) || Number(soft) === -1)) {
    throw usage(`${flag}: "${text}": the soft limit is above the hard one`)
  }
  return { name, soft: Number(soft), hard: Number(hard) }
}

/** `/dev/fuse`, `/dev/a:/dev/b`, `/dev/a:/dev/b:rw` as docker run takes it. @throws Failure (usage) */
export function parseDevice(
  text: string,
  flag = '--device',
): { pathOnHost: string; pathInContainer: string; permissions: string } {
  const isPermissions = (part: string): boolean => /^[rwm]{1,3}$/.test(part)
  const [host = '', second = '', third = ''] = text.split(':')
  const inContainer = second === '' || isPermissions(second) ? host : second
  const permissions = third || (isPermissions(second) ? second : 'rwm')
  if (!host.startsWith('/') || !inContainer.startsWith('/') || !isPermissions(permissions)) {
    throw usage(`${flag}: "${text}": write /dev/host[:/dev/container][:rwm]`)
  }
  return { pathOnHost: host, pathInContainer: inContainer, permissions }
}

/** `gpu=2`; a request is always a number (swarm row SF-28). @throws Failure (usage) */
export function parseGeneric(text: string, flag = '--generic-resource'): GenericResource {
  const [kind = '', amount = ''] = text.split('=')
  if (kind === '' || amount === '') throw usage(`${flag}: "${text}": write kind=number`)
  return { kind, count: wholeNumber(flag, amount, 1), names: [] }
}

/** `example:10.0.0.1`. @throws Failure (usage) */
export function parseHost(text: string, flag = '--host'): string {
  if (!/^[^:\s]+:\S+$/.test(text)) throw usage(`${flag}: "${text}": write host:ip`)
  return text
}

/** `spread=node.labels.zone`. @throws Failure (usage) */
export function parsePreference(text: string, flag = '--placement-pref'): { spread: string } {
  const [strategy = '', descriptor = ''] = text.split('=')
  if (strategy !== 'spread' || descriptor === '') {
    throw usage(`${flag}: "${text}": write spread=node.labels.<key>`)
  }
  return { spread: descriptor }
}

/** `net_admin`, `CAP_NET_ADMIN`, `all` → the engine's spelling (swarm row SF-19). */
export function capability(text: string): string {
  const name = text.trim().toUpperCase()
  return name === 'ALL' || name === 'RESET' || name.startsWith('CAP_') ? name : `CAP_${name}`
}
