import type { Explanation } from '../../proto/index.ts'
import { width } from './table.ts'

/** An explanation as people read it: the summary, a line a node with every failed check, what helps. */
export function explanationLines(explanation: Explanation): readonly string[] {
  const lines: string[] = []
  if (explanation.summary !== '') lines.push(explanation.summary)
  if (explanation.rootCause !== '' && explanation.rootCause !== explanation.summary) {
    lines.push(`because ${explanation.rootCause}`)
  }
  const widest = Math.max(0, ...explanation.nodes.map(node => width(node.hostname || node.nodeId)))
  for (const node of explanation.nodes) {
    const name = node.hostname || node.nodeId
    const pad = ' '.repeat(widest - width(name))
    const reasons = node.failures.map(failure => failure.reason || failure.filter).join(' · ')
    lines.push(`  ${name}${pad}  ${node.fits ? 'yes' : 'no '}  ${reasons}`.trimEnd())
  }
  if (explanation.suggestions.length > 0) {
    lines.push('Try one of')
    for (const suggestion of explanation.suggestions) lines.push(`  ${suggestion}`)
  }
  return lines
}
