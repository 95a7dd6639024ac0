import { StatusError } from '../../runtime/errors.ts'

/** `template: name:line: problem`, as Go's text/template says it; `pos` is an offset into `source`. */
export function syntaxError(
  name: string,
  source: string,
  pos: number,
  problem: string,
): StatusError {
  return new StatusError('InvalidArgument', `template: ${name}:${lineOf(source, pos)}: ${problem}`)
}

/** `template: name:line:column: executing "name" at <node>: problem`. */
export function executionError(
  name: string,
  executing: string,
  source: string,
  node: { readonly pos: number; readonly text: string },
  problem: string,
  cause?: unknown,
): StatusError {
  const column = node.pos - (source.lastIndexOf('\n', node.pos - 1) + 1)
  const place = `${name}:${lineOf(source, node.pos)}:${column}`
  return new StatusError(
    'InvalidArgument',
    `template: ${place}: executing ${JSON.stringify(executing)} at <${node.text}>: ${problem}`,
    cause === undefined ? {} : { cause },
  )
}

function lineOf(source: string, pos: number): number {
  let line = 1
  for (let at = source.indexOf('\n'); at !== -1 && at < pos; at = source.indexOf('\n', at + 1))
    line++
  return line
}
