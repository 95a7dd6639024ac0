import { PortProtocol, PublishMode } from '../../proto/index.ts'
import type { Port } from '../../proto/index.ts'
import { protocolFromName } from '../format/ports.ts'
import type { Reader } from './reader.ts'

const SHORT =
  /^(?:(?:(\d+\.\d+\.\d+\.\d+|\[[0-9a-fA-F:]+\]):)?(\d+(?:-\d+)?)?:)?(\d+(?:-\d+)?)(?:\/([a-z]+))?$/i
const PROTOCOLS = { tcp: PortProtocol.TCP, udp: PortProtocol.UDP, sctp: PortProtocol.SCTP }
const MODES = { ingress: PublishMode.INGRESS, host: PublishMode.HOST, local: PublishMode.LOCAL }
const LONG_KEYS = ['target', 'published', 'protocol', 'mode', 'host_ip', 'name']
const PORT_MAX = 65_535
const RANGE_MAX = 1000

/** `ports:` of a service, short and long (row SF-34), sorted so that an unchanged file gives an unchanged spec. */
export function readPorts(reader: Reader): readonly Port[] {
  return reader
    .items()
    .flatMap(item => (item.isMap ? longForm(item) : shortForm(item.text(), item)))
    .toSorted((a, b) => a.target - b.target || a.published - b.published || a.protocol - b.protocol)
}

/** `8080:80/tcp`, `80`, `127.0.0.1:8080:80`, `8000-8002:80-82`. */
export function shortForm(text: string, reader: Reader): readonly Port[] {
  const match = SHORT.exec(text)
  if (match === null)
    return reader.fail(`invalid port "${text}"; write [PUBLISHED:]TARGET[/PROTOCOL]`)
  const [, hostIp = '', published = '', target = '', protocolText = 'tcp'] = match
  const protocol = protocolFromName(protocolText)
  if (protocol === undefined)
    return reader.fail(`invalid port "${text}": unknown protocol "${protocolText}"`)
  const targets = range(target, reader)
  const publishedPorts = published === '' ? targets.map(() => 0) : range(published, reader)
  if (publishedPorts.length !== targets.length)
    return reader.fail(`invalid port "${text}": the ranges differ in length`)
  return targets.map((port, i) => ({
    name: '',
    protocol,
    target: port,
    published: publishedPorts[i] ?? 0,
    mode: PublishMode.INGRESS,
    hostIp,
  }))
}

function longForm(reader: Reader): readonly Port[] {
  reader.only(LONG_KEYS, {
    app_protocol: 'is not used by the cluster; remove it',
  })
  const target = reader.get('target')
  if (target === undefined) return reader.fail('target must be given')
  return [
    {
      name: reader.get('name')?.text() ?? '',
      protocol: reader.get('protocol')?.choice(PROTOCOLS) ?? PortProtocol.TCP,
      target: target.integer(1, PORT_MAX),
      published: reader.get('published')?.integer(0, PORT_MAX) ?? 0,
      mode: reader.get('mode')?.choice(MODES) ?? PublishMode.INGRESS,
      hostIp: reader.get('host_ip')?.text() ?? '',
    },
  ]
}

function range(text: string, reader: Reader): readonly number[] {
  const [first = 0, last = first] = text.split('-').map(Number)
  if (first < 1 || last > PORT_MAX || last < first || last - first >= RANGE_MAX)
    return reader.fail(`invalid port range "${text}"`)
  return Array.from({ length: last - first + 1 }, (_, i) => first + i)
}
