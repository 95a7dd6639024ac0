import { make } from '../../../../proto/codec.ts'
import { type Secret, type Service, type Task, v1 } from '../../../../proto/index.ts'

/** Builders set only what a test cares for. */
export function aService(id: string, name = id): Service {
  return make(v1.Service, { id, spec: { annotations: { name } } })
}

export function aSecret(id: string, name: string, bytes = 0): Secret {
  return make(v1.Secret, { id, spec: { annotations: { name }, data: new Uint8Array(bytes) } })
}

export function aTask(
  id: string,
  fields: { serviceId?: string; slot?: number; nodeId?: string; serviceName?: string } = {},
): Task {
  return make(v1.Task, { id, ...fields })
}
