import type { Caller } from '../../proto/service.ts'
import { StatusError } from '../../runtime/errors.ts'

type Role = Caller['role']

const ANYONE: readonly Role[] = ['manager', 'worker', 'local', 'none']
const MEMBERS: readonly Role[] = ['manager', 'worker', 'local']
const NODES: readonly Role[] = ['manager', 'worker']
const OPERATORS: readonly Role[] = ['manager', 'local']

/** Who may call what (Swarm row DP-21): by method, else by service, else nobody. */
const ALLOWED: Readonly<Record<string, readonly Role[]>> = {
  '/skein.v1.CA/*': ANYONE,
  '/skein.v1.Control/*': OPERATORS,
  '/skein.v1.Control/LeaveCluster': MEMBERS,
  '/skein.v1.Dispatcher/*': NODES,
  '/skein.v1.Health/*': MEMBERS,
  '/skein.v1.Local/*': ['local'],
  '/skein.v1.Logs/*': OPERATORS,
  '/skein.v1.Raft/*': ['manager'],
}

/**
 * Refuses a caller whose role may not call `path` ("/skein.v1.Control/GetNode").
 * @throws StatusError Unauthenticated for a caller without a valid certificate, else PermissionDenied
 */
export function authorize(path: string, caller: Caller): void {
  const service = path.slice(0, path.lastIndexOf('/'))
  const allowed = ALLOWED[path] ?? ALLOWED[`${service}/*`] ?? []
  if (allowed.includes(caller.role)) return
  const method = path.slice(path.indexOf('v1.') + 3).replace('/', '.')
  const takes = allowed.filter(role => role !== 'none').join(' or ') || 'nobody'
  if (caller.role === 'none') {
    const why =
      caller.doubt ?? 'it showed no valid certificate (none, an expired one, or another cluster’s)'
    throw new StatusError(
      'Unauthenticated',
      `${method} was called from ${caller.address}, and ${why}; it takes the role ${takes}`,
    )
  }
  throw new StatusError(
    'PermissionDenied',
    `${method} was called by ${caller.role} ${caller.nodeId} (${caller.address}); it takes the role ${takes}`,
  )
}
