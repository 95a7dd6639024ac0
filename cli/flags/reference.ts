import { isIP } from 'node:net'
import { usage } from '../failure.ts'
import { csvFields, pairs } from './values.ts'

export interface NetworkFlag {
  /** Name or id as the user wrote it. */
  readonly target: string
  readonly aliases: readonly string[]
  readonly driverOptions: Readonly<Record<string, string>>
  /** Fixed addresses by slot, slot 1 first. */
  readonly addresses: readonly string[]
}

/**
 * `--network front` or `--network name=front,alias=web,ip=10.0.1.5,driver-opt=k=v` (swarm row SF-33; `ip` is ours and
 * may be given once a slot).
 * @throws Failure (usage)
 */
export function parseNetwork(text: string, flag = '--network'): NetworkFlag {
  if (!/^[^,]*=/.test(text)) {
    return { target: text, aliases: [], driverOptions: {}, addresses: [] }
  }
  let target = ''
  const aliases: string[] = []
  const addresses: string[] = []
  const options: string[] = []
  for (const { key, value = '' } of csvFields(flag, text)) {
    if (key === 'name') target = value
    else if (key === 'alias') aliases.push(value)
    else if (key === 'ip') addresses.push(address(flag, value))
    else if (key === 'driver-opt') options.push(value)
    else throw usage(`${flag}: invalid field key ${key} in "${text}"`)
  }
  if (target === '') throw usage(`${flag}: name is missing in "${text}"`)
  return { target, aliases, driverOptions: pairs(flag, options), addresses }
}

/** `--address redis=172.38.0.11,172.38.0.12`: the address of each slot on a network. @throws Failure (usage) */
export function parseAddresses(
  text: string,
  flag = '--address',
): { readonly network: string; readonly addresses: readonly string[] } {
  const split = text.indexOf('=')
  if (split <= 0) throw usage(`${flag}: "${text}": write NETWORK=IP,IP,…`)
  const addresses = text
    .slice(split + 1)
    .split(',')
    .map(part => address(flag, part.trim()))
  return { network: text.slice(0, split), addresses }
}

function address(flag: string, text: string): string {
  if (isIP(text) === 0) throw usage(`${flag}: "${text}" is no IP address`)
  return text
}

export interface PayloadFlag {
  /** Name or id of the secret or config. */
  readonly source: string
  readonly file: {
    /** Empty: the name of the secret or config. */
    readonly name: string
    readonly uid: string
    readonly gid: string
    readonly mode: number
  }
}

/**
 * `--secret password` or `--secret source=password,target=pw,uid=0,gid=0,mode=0400` (swarm row SF-32).
 * @throws Failure (usage)
 */
export function parsePayload(text: string, flag: string): PayloadFlag {
  const fields: Record<string, string> = {}
  if (!/^[^,]*=/.test(text)) fields['source'] = text
  else {
    for (const { key, value = '' } of csvFields(flag, text)) {
      const name = key === 'src' ? 'source' : key === 'dst' ? 'target' : key
      if (!['source', 'target', 'uid', 'gid', 'mode'].includes(name)) {
        throw usage(`${flag}: invalid field key ${key} in "${text}"`)
      }
      fields[name] = value
    }
  }
  const { source = '', uid = '0', gid = '0', mode = '0444' } = fields
  if (source === '') throw usage(`${flag}: source is missing in "${text}"`)
  if (!/^[0-7]{1,5}$/.test(mode)) throw usage(`${flag}: mode "${mode}" is not octal`)
  return {
    source,
    file: { name: fields['target'] ?? '', uid, gid, mode: Number.parseInt(mode, 8) },
  }
}
