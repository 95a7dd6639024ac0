import { EndpointMode, type EndpointSpec, type Port, PublishMode } from '../../proto/index.ts'
import { portText } from '../format/ports.ts'
import { tryIpToNumber } from '../net/ip.ts'
import type { Fail } from './check.ts'

const PORT_MAX = 65535

/** Rules of published ports within one spec (rows SF-35, SV-16); conflicts with others are the control API's. */
export function validateEndpoint(endpoint: EndpointSpec, path: string, fail: Fail): void {
  if (endpoint.mode === EndpointMode.DNSRR && endpoint.ports.some(isIngress))
    fail(path, "EndpointSpec: port published with ingress mode can't be used with dnsrr mode")
  validatePorts(endpoint.ports, `${path}.ports`, fail)
}

export function validatePorts(ports: readonly Port[], path: string, fail: Fail): void {
  for (const [i, port] of ports.entries()) {
    const place = `${path}[${i}]`
    if (port.target < 1 || port.target > PORT_MAX)
      fail(`${place}.target`, `must be between 1 and ${PORT_MAX}, is ${port.target}`)
    if (port.published > PORT_MAX)
      fail(`${place}.published`, `must be at most ${PORT_MAX}, is ${port.published}`)
    if (port.hostIp !== '' && tryIpToNumber(port.hostIp) === undefined)
      fail(`${place}.hostIp`, `invalid IPv4 address "${port.hostIp}"`)
    const twin = ports.slice(0, i).findIndex(other => collide(other, port))
    if (twin !== -1)
      fail(place, `duplicate published port: ${portText(port)} and ${path}[${twin}] share it`)
  }
}

function isIngress(port: Port): boolean {
  return port.mode === PublishMode.INGRESS
}

/** Two host-mode ports on different addresses live side by side. */
function collide(a: Port, b: Port): boolean {
  if (a.published === 0 || a.published !== b.published || a.protocol !== b.protocol) return false
  const onHosts = a.mode === PublishMode.HOST && b.mode === PublishMode.HOST
  const everywhere = (ip: string): boolean => ip === '' || ip === '0.0.0.0'
  return !onHosts || everywhere(a.hostIp) || everywhere(b.hostIp) || a.hostIp === b.hostIp
}
