import { StatusError } from '../../runtime/errors.ts'
import { type Cidr, parseCidr, tryIpToNumber } from '../net/ip.ts'

// Placement constraints, `node.labels.zone != a` (rows PL-01, PL-02). Swarm takes a key it does not know and then never
// places the task; here that is an error when the service is declared.

/** What a constraint looks at; labels are named by `label`. */
export type ConstraintKey =
  | 'node.id'
  | 'node.hostname'
  | 'node.ip'
  | 'node.role'
  | 'node.platform.os'
  | 'node.platform.arch'
  | 'node.labels'
  | 'engine.labels'

export interface Constraint {
  /** As the user wrote it. */
  readonly text: string
  readonly key: ConstraintKey
  /** The label's key for node.labels and engine.labels, otherwise empty. Case matters. */
  readonly label: string
  readonly operator: '==' | '!='
  /** Case does not matter. */
  readonly value: string
  /** The addresses meant by a node.ip constraint; one address is a /32. */
  readonly subnet: Cidr | undefined
}

const KEYS = [
  'node.id',
  'node.hostname',
  'node.ip',
  'node.role',
  'node.platform.os',
  'node.platform.arch',
] as const
const LABEL_KEYS = ['node.labels', 'engine.labels'] as const
const KNOWN = [...KEYS, ...LABEL_KEYS.map(key => `${key}.<key>`)].join(', ')

const KEY = /^[a-z_][a-z0-9\-_.]+$/i
const VALUE = /^[a-z0-9:\-_\s.*()?+[\]\\^$|/]+$/i

/**
 * Reads one constraint.
 * @throws StatusError InvalidArgument that names the text and what is wrong with it
 */
export function parseConstraint(text: string): Constraint {
  const fail = (why: string): never => {
    throw new StatusError('InvalidArgument', `invalid constraint "${text}": ${why}`)
  }
  const operator = /==|!=/.exec(text)?.[0] as '==' | '!=' | undefined
  if (operator === undefined) return fail('expected one operator from ==, !=')
  const [left = '', right = '', ...more] = text.split(operator).map(part => part.trim())
  if (more.length > 0 || /==|!=/.test(right)) return fail('expected one operator from ==, !=')
  if (!KEY.test(left)) return fail(`key "${left}" is invalid`)
  if (!VALUE.test(right))
    return fail(right === '' ? 'the value is empty' : `value "${right}" is invalid`)
  const { key, label } = parseKey(left) ?? fail(`unknown key "${left}"; known keys: ${KNOWN}`)
  const subnet = key === 'node.ip' ? parseSubnet(right, fail) : undefined
  return { text, key, label, operator, value: right, subnet }
}

/** The key of a label descriptor such as `node.labels.zone`, for spread preferences; undefined for anything else. */
export function parseLabelDescriptor(
  text: string,
): { readonly key: 'node.labels' | 'engine.labels'; readonly label: string } | undefined {
  for (const key of LABEL_KEYS) {
    const head = `${key}.`
    if (text.length > head.length && text.slice(0, head.length).toLowerCase() === head)
      return { key, label: text.slice(head.length) }
  }
  return undefined
}

function parseKey(text: string): { key: ConstraintKey; label: string } | undefined {
  const plain = KEYS.find(key => key === text.toLowerCase())
  return plain === undefined ? parseLabelDescriptor(text) : { key: plain, label: '' }
}

function parseSubnet(text: string, fail: (why: string) => never): Cidr {
  const whole = tryIpToNumber(text) === undefined ? text : `${text}/32`
  try {
    return parseCidr(whole)
  } catch {
    return fail('node.ip takes an IPv4 address or subnet')
  }
}
