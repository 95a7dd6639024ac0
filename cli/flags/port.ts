import { type Port, PortProtocol, PublishMode } from '../../proto/index.ts'
import { usage } from '../failure.ts'
import { PROTOCOLS, PUBLISH_MODES } from '../model/ports.ts'
import { choice, csvFields } from './values.ts'

const PORT_MAX = 65_535

/**
 * `--publish`: `8080:80`, `80`, `8000-8002:80-82/udp`, or `published=8080,target=80,protocol=tcp,mode=host`
 * (swarm row SF-34). A range gives several ports.
 * @throws Failure (usage)
 */
export function parsePublish(text: string, flag = '--publish'): Port[] {
  return text.includes('=') ? [longForm(flag, text)] : shortForm(flag, text)
}

function longForm(flag: string, text: string): Port {
  let port = { ...EMPTY }
  for (const { key, value = '' } of csvFields(flag, text)) {
    if (key === 'target') port = { ...port, target: portNumber(flag, value) }
    else if (key === 'published') {
      port = { ...port, published: value === '0' ? 0 : portNumber(flag, value) }
    } else if (key === 'protocol') {
      port = { ...port, protocol: choice(flag, value, PROTOCOLS) as PortProtocol }
    } else if (key === 'mode') {
      port = { ...port, mode: choice(flag, value, PUBLISH_MODES) as PublishMode }
    } else if (key === 'name') port = { ...port, name: value }
    else throw usage(`${flag}: invalid field key ${key}`)
  }
  if (port.target === 0) throw usage(`${flag}: missing target in "${text}"`)
  return port
}

const EMPTY: Port = {
  name: '',
  protocol: PortProtocol.TCP,
  target: 0,
  published: 0,
  mode: PublishMode.INGRESS,
  hostIp: '',
}

function shortForm(flag: string, text: string): Port[] {
  const match = /^(?:(.*):)?([^:/]+)(?:\/([a-zA-Z]+))?$/.exec(text)
  if (match === null) throw usage(`${flag}: "${text}" is no port: write 8080:80 or 8080:80/udp`)
  const [, left = '', right = '', protocolText = 'tcp'] = match
  if (left.includes(':')) {
    throw usage(`${flag}: "${text}": a host address cannot be given for a service`)
  }
  const protocol = choice(flag, protocolText, PROTOCOLS) as PortProtocol
  const targets = range(flag, right)
  const published = left === '' ? undefined : range(flag, left)
  if (published !== undefined && published.length !== targets.length) {
    throw usage(`${flag}: "${text}": the two ranges differ in length`)
  }
  return targets.map((target, index) => ({
    ...EMPTY,
    protocol,
    target,
    published: published?.[index] ?? 0,
  }))
}

function range(flag: string, text: string): number[] {
  const [from = '', to = from] = text.split('-')
  const [first, last] = [portNumber(flag, from), portNumber(flag, to)]
  if (last < first) throw usage(`${flag}: "${text}" runs backwards`)
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}

function portNumber(flag: string, text: string): number {
  const value = Number(text)
  if (!/^\d{1,5}$/.test(text) || value < 1 || value > PORT_MAX) {
    throw usage(`${flag}: "${text}" is no port number`)
  }
  return value
}
