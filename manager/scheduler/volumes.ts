import {
  type Mount,
  MountType,
  type Node,
  type Task,
  type Volume,
  VolumeLocality,
} from '../../proto/index.ts'
import { make } from '../../proto/codec.ts'
import { v1 } from '../../proto/index.ts'
import { taskName } from '../../services/model/task.ts'
import { expandTask } from '../../services/template/expand.ts'
import type { Tx } from '../state/store/types.ts'

/** A named volume of a slot, and whether the slot must stay where its data is. */
export interface SlotVolume {
  readonly name: string
  /** `<service name>.<slot>` */
  readonly owner: string
  readonly required: boolean
  readonly driver: string
}

/** Fields of a node that templates may use, when the node is not chosen yet. */
const NO_NODE: Node = make(v1.Node, {})

/**
 * The volumes that bind a task's slot to a node: named, made by the engine's local driver, of a numbered slot. A source
 * that depends on the node names another volume on each, and binds nothing.
 */
export function slotVolumes(task: Task): readonly SlotVolume[] {
  const mounts = task.spec?.container?.mounts ?? []
  if (task.slot === 0 || !mounts.some(isLocalVolume)) return []
  let expanded: readonly Mount[]
  try {
    expanded = expandTask(task, NO_NODE).container?.mounts ?? []
  } catch {
    // The agent rejects the task with the template's error.
    return []
  }
  return expanded.flatMap((mount, at) => {
    const source = mounts[at]?.source ?? ''
    if (!isLocalVolume(mount) || source.includes('.Node') || source.includes('.Task.ID')) return []
    return [
      {
        name: mount.source,
        owner: taskName(task),
        required: mount.volumeLocality === VolumeLocality.REQUIRED,
        driver: mount.volumeDriver,
      },
    ]
  })
}

function isLocalVolume(mount: Mount): boolean {
  const local = mount.volumeDriver === '' || mount.volumeDriver === 'local'
  return mount.type === MountType.VOLUME && mount.source !== '' && local
}

/** Remembers in the transaction that assigns the task where its volumes now are. */
export function recordVolumes(tx: Tx, task: Task, newId: () => string, nowMs: number): void {
  for (const { name, owner, driver } of slotVolumes(task)) {
    const copy = { nodeId: task.nodeId, owner, usedAtMs: nowMs }
    const volume = tx.byName('volume', name)[0]
    if (volume) moveCopy(tx, volume, copy)
    else
      tx.create('volume', {
        ...make(v1.Volume, { id: newId(), spec: { annotations: { name }, driver } }),
        copies: [copy],
      })
  }
}

function moveCopy(tx: Tx, volume: Volume, copy: Volume['copies'][number]): void {
  const before = volume.copies.find(other => other.owner === copy.owner)
  if (before?.nodeId === copy.nodeId) return
  const others = volume.copies.filter(other => other.owner !== copy.owner)
  tx.update('volume', { ...volume, copies: [...others, copy] })
}
