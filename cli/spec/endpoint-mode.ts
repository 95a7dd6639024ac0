import type { EndpointMode } from '../../proto/index.ts'
import { choice } from '../flags/values.ts'

export const ENDPOINT_MODES = ['vip', 'dnsrr'] as const

export function endpointMode(text: string): EndpointMode {
  return choice('--endpoint-mode', text, ENDPOINT_MODES) as EndpointMode
}
