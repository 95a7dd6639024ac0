import { formatToken, sameSecret } from '../../proto/join-token.ts'
import type { NodeRole, RootCa } from '../../proto/index.ts'
import { NodeRole as Role } from '../../proto/index.ts'
import { newId, type Random } from '../../runtime/random.ts'

/** A new secret for a join token: 25 base36 characters. */
export function newTokenSecret(random: Random): string {
  return newId(random)
}

/** The two join tokens of a cluster. */
export function joinTokens(rootCa: RootCa): { readonly worker: string; readonly manager: string } {
  const { digest } = rootCa
  return {
    worker: formatToken({ digest, secret: rootCa.workerSecret }),
    manager: formatToken({ digest, secret: rootCa.managerSecret }),
  }
}

/** The role a join secret admits to; undefined when it is neither's. Compares both, in constant time. */
export function roleOfSecret(rootCa: RootCa, secret: string): NodeRole | undefined {
  const worker = sameSecret(secret, rootCa.workerSecret)
  const manager = sameSecret(secret, rootCa.managerSecret)
  if (manager) return Role.MANAGER
  return worker ? Role.WORKER : undefined
}
