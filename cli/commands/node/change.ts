import type { Node, NodeSpec } from '../../../proto/index.ts'
import type { Api } from '../../connection.ts'
import { Failure } from '../../failure.ts'
import { type Draft, draftOf } from '../../spec/draft.ts'
import { withFreshVersion } from '../each.ts'
import { getNode } from '../get.ts'

/** Reads a node, changes its spec and writes it back; again, when somebody else was faster. False from `edit` writes nothing. */
export function changeNode(
  api: Api,
  reference: string,
  edit: (spec: Draft<NodeSpec>, node: Node) => boolean,
): Promise<Node> {
  return withFreshVersion(async () => {
    const node = await getNode(api, reference)
    if (node.spec === null) throw new Failure(`node ${reference} has no spec yet`)
    const spec = draftOf(node.spec)
    if (!edit(spec, node)) return node
    const answer = await api.control.updateNode({
      id: node.id,
      specVersion: node.meta?.specVersion ?? 0,
      spec,
    })
    return answer.node ?? node
  })
}
