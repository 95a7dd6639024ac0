// ${VAR} in compose files: $VAR, ${VAR}, ${VAR:-default}, ${VAR-default}, ${VAR:?error}, ${VAR?error}, ${VAR:+other},
// ${VAR+other} and $$ (row ST-18, compose-spec "Interpolation").

export interface Interpolation {
  readonly text: string
  /** Variables that were not set and had no default: they became empty. */
  readonly unset: readonly string[]
}

const NAME = /[_a-zA-Z][_a-zA-Z0-9]*/y
const DEPTH_MAX = 10

/** @throws Error in plain words: an unclosed brace, a bad name, a required variable without value */
export function interpolate(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
  depth = 0,
): Interpolation {
  if (!text.includes('$')) return { text, unset: [] }
  if (depth > DEPTH_MAX) throw new Error('variables are nested too deeply')
  const unset: string[] = []
  let out = ''
  let at = 0
  for (;;) {
    const dollar = text.indexOf('$', at)
    if (dollar === -1) return { text: out + text.slice(at), unset }
    out += text.slice(at, dollar)
    if (text[dollar + 1] === '$') {
      out += '$'
      at = dollar + 2
      continue
    }
    const braced = text[dollar + 1] === '{'
    const end = braced ? closingBrace(text, dollar + 2) : dollar + 1
    const name = nameAt(text, braced ? dollar + 2 : dollar + 1)
    if (name === '')
      throw new Error(`invalid interpolation format "${text}"; write $$ for a dollar sign`)
    if (!braced) {
      out += valueOf(name, env, unset)
      at = dollar + 1 + name.length
      continue
    }
    const expression = text.slice(dollar + 2, end)
    const inner = substitute(name, expression.slice(name.length), env, unset, depth)
    out += inner
    at = end + 1
  }
}

function substitute(
  name: string,
  operation: string,
  env: Readonly<Record<string, string | undefined>>,
  unset: string[],
  depth: number,
): string {
  if (operation === '') return valueOf(name, env, unset)
  const match = /^(:?[-?+])(.*)$/s.exec(operation)
  const [operator, argument] = [match?.[1] ?? '', match?.[2] ?? '']
  const value = Object.hasOwn(env, name) ? env[name] : undefined
  const present = value !== undefined && !(operator.startsWith(':') && value === '')
  const other = (): string => {
    const nested = interpolate(argument, env, depth + 1)
    unset.push(...nested.unset)
    return nested.text
  }
  const kind = operator.at(-1)
  if (kind === '-') return present ? value : other()
  if (kind === '+') return present ? other() : ''
  if (kind !== '?') throw new Error(`invalid interpolation format "\${${name}${operation}}"`)
  if (present) return value
  const why = other()
  throw new Error(`required variable ${name} is missing a value${why === '' ? '' : `: ${why}`}`)
}

function valueOf(
  name: string,
  env: Readonly<Record<string, string | undefined>>,
  unset: string[],
): string {
  const value = Object.hasOwn(env, name) ? env[name] : undefined
  if (value === undefined) unset.push(name)
  return value ?? ''
}

function nameAt(text: string, at: number): string {
  NAME.lastIndex = at
  return NAME.exec(text)?.[0] ?? ''
}

/** Defaults may hold variables of their own: braces are counted. */
function closingBrace(text: string, from: number): number {
  let depth = 1
  for (let at = from; at < text.length; at++) {
    if (text.startsWith('${', at)) depth++
    else if (text[at] === '}' && --depth === 0) return at
  }
  throw new Error(`invalid interpolation format "${text}": missing "}"`)
}
