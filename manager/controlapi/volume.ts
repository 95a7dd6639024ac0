import { MountType, type Volume } from '../../proto/index.ts'
import type { ControlDeps } from './deps.ts'
import { inContainer, refuseWhileUsed, usersOf } from './usage.ts'

export async function listVolumes(deps: ControlDeps): Promise<{ volumes: readonly Volume[] }> {
  return { volumes: deps.store.view(tx => tx.list('volume')) }
}

/**
 * Forgets where a volume's data is; the copies on the nodes are the engines'.
 * @throws StatusError FailedPrecondition while a service or a live task mounts it, unless `force`
 */
export async function removeVolume(
  deps: ControlDeps,
  request: { readonly id: string; readonly force: boolean },
  author: string,
): Promise<object> {
  await deps.store.update(
    tx => {
      const { id, spec } = tx.resolve('volume', request.id)
      const name = spec?.annotations?.name ?? id
      const mounts = inContainer(container =>
        container.mounts.some(({ type, source }) => type === MountType.VOLUME && source === name),
      )
      if (!request.force) refuseWhileUsed(`volume ${name}`, usersOf(tx, mounts))
      tx.delete('volume', id)
    },
    { author },
  )
  return {}
}
