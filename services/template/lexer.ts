import { syntaxError } from './error.ts'

// The words of a Go template (text/template/parse/lex.go). White space inside an action is a token of its own: it is
// what tells `.A.B` (one operand) from `.A .B` (two).

export type TokenKind =
  | 'text'
  | 'open'
  | 'close'
  | 'space'
  | 'field' // .Name
  | 'variable' // $ or $name
  | 'identifier'
  | 'keyword'
  | 'bool'
  | 'nil'
  | 'number'
  | 'string'
  | 'dot'
  | 'pipe'
  | 'comma'
  | 'assign' // =
  | 'declare' // :=
  | '('
  | ')'
  | 'end'

export interface Token {
  readonly kind: TokenKind
  /** For strings the value, otherwise the source. */
  readonly text: string
  /** Offset into the source. */
  readonly pos: number
  readonly end: number
}

const KEYWORDS = new Set('block break continue define else end if range template with'.split(' '))
const NUMBER =
  /[+-]?(?:0[xX][0-9a-fA-F_]+|0[bB][01_]+|0[oO][0-7_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+(?:[eE][+-]?[0-9]+)?)/y
const WORD = /[\p{L}_][\p{L}\p{Nd}_]*/uy
const ESCAPES: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  '"': '"',
  "'": "'",
}

/**
 * Cuts a template into tokens. Comments and what the trim markers `{{-` and `-}}` take away are gone already.
 * @throws StatusError InvalidArgument `template: name:line: …`
 */
export function lex(source: string, name: string): readonly Token[] {
  const tokens: Token[] = []
  const fail = (pos: number, problem: string): never => {
    throw syntaxError(name, source, pos, problem)
  }
  let at = 0
  let trimNext = false
  while (at < source.length) {
    const open = source.indexOf('{{', at)
    const textEnd = open === -1 ? source.length : open
    const trimHere = open !== -1 && isTrim(source, open + 2)
    pushText(tokens, source, at, textEnd, trimNext, trimHere)
    trimNext = false
    if (open === -1) break
    const start = open + (trimHere ? 4 : 2)
    if (source.startsWith('/*', start)) {
      const closing = source.indexOf('*/', start)
      if (closing === -1) return fail(open, 'unclosed comment')
      const after = /(?:\s-)?\}\}/y
      after.lastIndex = closing + 2
      const match = after.exec(source)
      if (match === null) return fail(open, 'comment ends before closing delimiter')
      trimNext = match[0].includes('-')
      at = after.lastIndex
      continue
    }
    tokens.push({ kind: 'open', text: '{{', pos: open, end: start })
    const closed = lexAction(source, start, tokens, fail)
    trimNext = closed.trim
    at = closed.at
  }
  tokens.push({ kind: 'end', text: '', pos: source.length, end: source.length })
  return tokens
}

/** `{{- ` needs the space: `{{-3}}` is a number. */
function isTrim(source: string, at: number): boolean {
  return source[at] === '-' && /\s/.test(source[at + 1] ?? '')
}

function pushText(
  tokens: Token[],
  source: string,
  from: number,
  to: number,
  trimStart: boolean,
  trimEnd: boolean,
): void {
  let text = source.slice(from, to)
  if (trimStart) text = text.replace(/^[ \t\r\n]+/, '')
  if (trimEnd) text = text.trimEnd()
  if (text !== '') tokens.push({ kind: 'text', text, pos: from, end: to })
}

function lexAction(
  source: string,
  start: number,
  tokens: Token[],
  fail: (pos: number, problem: string) => never,
): { at: number; trim: boolean } {
  let at = start
  let depth = 0
  for (;;) {
    const space = /\s+/y
    space.lastIndex = at
    const blank = space.exec(source)?.[0] ?? ''
    const after = at + blank.length
    const trim = blank !== '' && source.startsWith('-}}', after)
    if (trim || source.startsWith('}}', after)) {
      if (depth > 0) fail(after, 'unclosed left paren')
      const end = after + (trim ? 3 : 2)
      tokens.push({ kind: 'close', text: '}}', pos: after, end })
      return { at: end, trim }
    }
    if (blank !== '') tokens.push({ kind: 'space', text: blank, pos: at, end: after })
    if (after >= source.length) fail(start, 'unclosed action')
    const token = lexToken(source, after, fail)
    if (token.kind === '(') depth++
    if (token.kind === ')' && --depth < 0) fail(after, 'unexpected right paren')
    tokens.push(token)
    at = token.end
  }
}

function lexToken(
  source: string,
  at: number,
  fail: (pos: number, problem: string) => never,
): Token {
  const char = source[at] ?? ''
  const token = (kind: TokenKind, end: number, text = source.slice(at, end)): Token => ({
    kind,
    text,
    pos: at,
    end,
  })
  const next = source[at + 1] ?? ''
  if (char === '"') return lexQuoted(source, at, fail)
  if (char === '`') {
    const end = source.indexOf('`', at + 1)
    return end === -1
      ? fail(at, 'unterminated raw quoted string')
      : token('string', end + 1, source.slice(at + 1, end))
  }
  if (char === "'") return lexCharacter(source, at, fail)
  if (char === '|') return token('pipe', at + 1)
  if (char === '(' || char === ')') return token(char, at + 1)
  if (char === ',') return token('comma', at + 1)
  if (char === '=') return token('assign', at + 1)
  if (char === ':') return next === '=' ? token('declare', at + 2) : fail(at, 'expected :=')
  if (char === '.' && !/[0-9]/.test(next)) {
    const end = wordEnd(source, at + 1)
    return end === at + 1 ? token('dot', end) : token('field', end)
  }
  if (char === '$') return token('variable', wordEnd(source, at + 1))
  if (/[0-9+\-.]/.test(char)) {
    NUMBER.lastIndex = at
    if (!NUMBER.test(source)) return fail(at, `bad number syntax: ${JSON.stringify(char)}`)
    const end = NUMBER.lastIndex
    if (/[\p{L}\p{Nd}_.]/u.test(source[end] ?? ''))
      return fail(at, `bad number syntax: ${JSON.stringify(source.slice(at, end + 1))}`)
    return token('number', end)
  }
  const end = wordEnd(source, at)
  if (end === at) return fail(at, `unexpected ${JSON.stringify(char)} in operand`)
  const word = source.slice(at, end)
  if (KEYWORDS.has(word)) return token('keyword', end)
  if (word === 'true' || word === 'false') return token('bool', end)
  return word === 'nil' ? token('nil', end) : token('identifier', end)
}

function wordEnd(source: string, at: number): number {
  WORD.lastIndex = at
  return WORD.test(source) ? WORD.lastIndex : at
}

function lexQuoted(
  source: string,
  at: number,
  fail: (pos: number, problem: string) => never,
): Token {
  let value = ''
  let i = at + 1
  for (;;) {
    const char = source[i]
    if (char === undefined || char === '\n') return fail(at, 'unterminated quoted string')
    if (char === '"') return { kind: 'string', text: value, pos: at, end: i + 1 }
    if (char !== '\\') {
      value += char
      i++
      continue
    }
    const [text, length] = readEscape(source, i, fail)
    value += text
    i += length
  }
}

/** 'x' is its code point, as in Go. */
function lexCharacter(
  source: string,
  at: number,
  fail: (pos: number, problem: string) => never,
): Token {
  const point = source.codePointAt(at + 1)
  if (point === undefined) return fail(at, 'unterminated character constant')
  const [text, length] =
    source[at + 1] === '\\'
      ? readEscape(source, at + 1, fail)
      : [String.fromCodePoint(point), String.fromCodePoint(point).length]
  const end = at + 1 + length
  if (source[end] !== "'") return fail(at, 'unterminated character constant')
  return { kind: 'number', text: String(text.codePointAt(0) ?? 0), pos: at, end: end + 1 }
}

function readEscape(
  source: string,
  at: number,
  fail: (pos: number, problem: string) => never,
): readonly [string, number] {
  const kind = source[at + 1] ?? ''
  const simple = ESCAPES[kind]
  if (simple !== undefined) return [simple, 2]
  const digits = { x: 2, u: 4, U: 8 }[kind] ?? 0
  const hex = source.slice(at + 2, at + 2 + digits)
  const point = Number.parseInt(hex, 16)
  if (digits === 0 || hex.length < digits || !/^[0-9a-fA-F]+$/.test(hex) || point > 0x10ffff)
    return fail(at, 'invalid syntax in quoted string')
  return [String.fromCodePoint(point), 2 + digits]
}
