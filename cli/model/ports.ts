import type { PublishMode } from '../../proto/index.ts'

// Words in the order of the wire's numbers.
export const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const
export const PUBLISH_MODES = ['ingress', 'host', 'local'] as const

export function publishModeName(mode: PublishMode): string {
  return PUBLISH_MODES[mode] ?? String(mode)
}
