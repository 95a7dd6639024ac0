import { execute } from '../../services/template/evaluate.ts'
import { parseTemplate } from '../../services/template/parser.ts'

/**
 * What `inspect` prints: the objects as an indented JSON array, each on a line with `json`, or each through a template.
 * @throws StatusError InvalidArgument in Go's words for a bad template
 */
export function renderObjects(objects: readonly unknown[], format: string | undefined): string {
  if (format === undefined) return `${JSON.stringify(objects, undefined, 4)}\n`
  return objects.map(object => renderObject(object, format)).join('')
}

export function renderObject(object: unknown, format: string): string {
  if (format === 'json') return `${JSON.stringify(object)}\n`
  const template = parseTemplate(format.replace(/\\t/g, '\t').replace(/\\n/g, '\n'))
  return `${execute(template, object, { missingKey: 'error' })}\n`
}
