import type { Port } from '../../proto/index.ts'
import { protocolName } from '../../services/format/ports.ts'
import { publishModeName } from '../model/ports.ts'
import { type Json, omitEmpty } from './inspect-meta.ts'

export function portObject(port: Port): Json {
  return {
    ...omitEmpty({ Name: port.name }),
    Protocol: protocolName(port.protocol),
    TargetPort: port.target,
    ...omitEmpty({ PublishedPort: port.published }),
    PublishMode: publishModeName(port.mode),
    ...omitEmpty({ HostIP: port.hostIp }),
  }
}
