import { make } from '../proto/codec.ts'
import { type Assignments, type Config, type Node, type Secret, v1 } from '../proto/index.ts'
import type { TaskObjects } from './executor/types.ts'

/** Secrets and configs as the managers sent them; in memory only (Swarm row DP-12). */
export class ObjectStore implements TaskObjects {
  #secrets = new Map<string, Secret>()
  #configs = new Map<string, Config>()
  #node: Node

  constructor(nodeId: string) {
    this.#node = make(v1.Node, { id: nodeId })
  }

  secret(id: string): Secret | undefined {
    return this.#secrets.get(id)
  }

  config(id: string): Config | undefined {
    return this.#configs.get(id)
  }

  node(): Node {
    return this.#node
  }

  setNode(node: Node): void {
    this.#node = node
  }

  /** Before a manager has sent the node object: what the engine says of it. */
  setDescription(description: Node['description']): void {
    this.#node = { ...this.#node, description }
  }

  apply(assignments: Assignments): void {
    if (assignments.complete) {
      this.#secrets = new Map()
      this.#configs = new Map()
    }
    for (const secret of assignments.secrets) this.#secrets.set(secret.id, secret)
    for (const id of assignments.removedSecrets) this.#secrets.delete(id)
    for (const config of assignments.configs) this.#configs.set(config.id, config)
    for (const id of assignments.removedConfigs) this.#configs.delete(id)
  }
}
