import { NodeState } from '../../proto/index.ts'

const WORDS: Readonly<Record<NodeState, string>> = {
  [NodeState.UNKNOWN]: 'unknown',
  [NodeState.NODE_READY]: 'ready',
  [NodeState.SUSPECT]: 'suspect',
  [NodeState.DISCONNECTED]: 'disconnected',
  [NodeState.DOWN]: 'down',
}

/** A node's state as people read it. */
export function stateWord(state: NodeState): string {
  return WORDS[state]
}
