import type { Command, Operand, Pipeline, Statement, Template } from './ast.ts'
import { syntaxError } from './error.ts'
import { BUILTIN_NAMES } from './functions.ts'
import { type Token, type TokenKind, lex } from './lexer.ts'

const DEPTH_MAX = 100

export interface ParseOptions {
  /** Shown in errors; Docker's --format uses the empty name. */
  readonly name?: string
  /** Names of functions that execute() will be given beside the built-in ones. */
  readonly functions?: readonly string[]
}

/**
 * Parses a Go template (text/template): actions, trim markers, pipelines, variables, if, range, with, break, continue,
 * define, block and template. A function nobody defines is an error here, not when the template runs.
 * @throws StatusError InvalidArgument `template: name:line: …`, in Go's words
 */
export function parseTemplate(source: string, options: ParseOptions = {}): Template {
  const name = options.name ?? ''
  return new Parser(source, name, new Set([...BUILTIN_NAMES, ...(options.functions ?? [])])).parse()
}

/** Whether the text has actions at all: most values have none and need no parser. */
export function isTemplate(text: string): boolean {
  return text.includes('{{')
}

class Parser {
  readonly #source: string
  readonly #name: string
  readonly #functions: ReadonlySet<string>
  readonly #tokens: readonly Token[]
  readonly #definitions = new Map<string, readonly Statement[]>()
  #at = 0
  #depth = 0
  #loops = 0
  #variables: string[] = ['$']

  constructor(source: string, name: string, functions: ReadonlySet<string>) {
    this.#source = source
    this.#name = name
    this.#functions = functions
    this.#tokens = lex(source, name)
  }

  parse(): Template {
    const { body } = this.#list([])
    return { name: this.#name, source: this.#source, body, definitions: this.#definitions }
  }

  #fail(problem: string, token: Token = this.#peek()): never {
    throw syntaxError(this.#name, this.#source, token.pos, problem)
  }

  #peek(): Token {
    return this.#tokens[this.#at] ?? { kind: 'end', text: '', pos: this.#source.length, end: 0 }
  }

  #next(): Token {
    const token = this.#peek()
    this.#at++
    return token
  }

  #skipSpace(): void {
    while (this.#peek().kind === 'space') this.#at++
  }

  #expect(kind: TokenKind, context: string): Token {
    this.#skipSpace()
    const token = this.#next()
    if (token.kind !== kind) this.#unexpected(token, context)
    return token
  }

  #unexpected(token: Token, context: string): never {
    const shown = token.kind === 'end' ? 'EOF' : `<${token.text}>`
    return this.#fail(`unexpected ${shown} in ${context}`, token)
  }

  /** Statements until one of the keywords `stops` (end, else) or the end of the source when there are none. */
  #list(stops: readonly string[]): { body: readonly Statement[]; stop: string } {
    if (++this.#depth > DEPTH_MAX) this.#fail(`nested deeper than ${DEPTH_MAX}`)
    const body: Statement[] = []
    for (;;) {
      const token = this.#next()
      if (token.kind === 'end') {
        if (stops.length > 0) this.#fail('unexpected EOF', token)
        this.#depth--
        return { body, stop: '' }
      }
      if (token.kind === 'text') {
        body.push({ kind: 'text', text: token.text })
        continue
      }
      this.#skipSpace()
      const word = this.#peek()
      if (word.kind === 'keyword' && stops.includes(word.text)) {
        this.#at++
        this.#depth--
        return { body, stop: word.text }
      }
      const statement = this.#statement(word)
      if (statement !== undefined) body.push(statement)
    }
  }

  #statement(word: Token): Statement | undefined {
    if (word.kind !== 'keyword') {
      const pipeline = this.#pipeline('command', 'close')
      return { kind: 'action', pipeline }
    }
    this.#at++
    switch (word.text) {
      case 'if':
      case 'with':
      case 'range':
        return this.#control(word.text)
      case 'break':
      case 'continue':
        if (this.#loops === 0) this.#fail(`{{${word.text}}} outside {{range}}`, word)
        this.#expect('close', `{{${word.text}}}`)
        return { kind: word.text }
      case 'define':
        this.#define(word)
        return undefined
      case 'template':
      case 'block':
        return this.#template(word)
      default:
        return this.#fail(`unexpected {{${word.text}}}`, word)
    }
  }

  #control(kind: 'if' | 'with' | 'range'): Statement {
    const scope = this.#variables.length
    const pipeline = this.#pipeline(kind, 'close')
    if (kind === 'range') this.#loops++
    const { body, stop } = this.#list(['end', 'else'])
    if (kind === 'range') this.#loops--
    const otherwise = stop === 'else' ? this.#else(kind) : this.#close()
    this.#variables.length = scope
    return { kind, pipeline, body, otherwise }
  }

  #close(): readonly Statement[] {
    this.#expect('close', 'end')
    return []
  }

  /** `{{else}} … {{end}}`, or `{{else if x}}`, whose `{{end}}` is shared. */
  #else(kind: 'if' | 'with' | 'range'): readonly Statement[] {
    this.#skipSpace()
    const word = this.#peek()
    if (kind !== 'range' && word.kind === 'keyword' && word.text === kind) {
      this.#at++
      return [this.#control(kind)]
    }
    this.#expect('close', 'else')
    const { body } = this.#list(['end'])
    this.#close()
    return body
  }

  #define(word: Token): void {
    if (this.#depth > 1) this.#fail('unexpected {{define}}', word)
    const name = this.#expect('string', 'define clause').text
    this.#expect('close', 'define clause')
    this.#defineBody(name)
  }

  #defineBody(name: string): void {
    const [variables, loops] = [this.#variables, this.#loops]
    this.#variables = ['$']
    this.#loops = 0
    const { body } = this.#list(['end'])
    this.#close()
    this.#variables = variables
    this.#loops = loops
    this.#definitions.set(name, body)
  }

  #template(word: Token): Statement {
    const { text: name, pos } = this.#expect('string', `${word.text} clause`)
    this.#skipSpace()
    const bare = this.#peek().kind === 'close'
    if (bare && word.text === 'block') this.#fail('missing value for block clause')
    const pipeline = bare ? undefined : this.#pipeline(`${word.text} clause`, 'close')
    if (bare) this.#at++
    if (word.text === 'block') this.#defineBody(name)
    const argument = pipeline === undefined ? '' : ` ${pipeline.text}`
    return {
      kind: 'template',
      name,
      pipeline,
      pos,
      text: `{{template ${JSON.stringify(name)}${argument}}}`,
    }
  }

  #pipeline(context: string, stop: 'close' | ')'): Pipeline {
    this.#skipSpace()
    const start = this.#peek()
    const { variables, assigns } = this.#assignment(context)
    const commands: Command[] = []
    for (;;) {
      this.#skipSpace()
      const token = this.#peek()
      if (token.kind === stop) {
        if (commands.length === 0) this.#fail(`missing value for ${context}`)
        this.#at++
        break
      }
      if (commands.length > 0) this.#expect('pipe', context)
      const command = this.#command(context)
      const first = command.operands[0]
      if (
        commands.length > 0 &&
        (first?.kind === 'literal' || first?.kind === 'dot' || first?.kind === 'nil')
      )
        this.#fail(`non executable command in pipeline stage ${commands.length + 1}`, token)
      commands.push(command)
    }
    if (!assigns) this.#variables.push(...variables)
    return { variables, assigns, commands, pos: start.pos, text: this.#text(start.pos) }
  }

  /** `$x :=`, `$x =`, and in range `$i, $x :=`. Restores the position when it is no assignment. */
  #assignment(context: string): { variables: readonly string[]; assigns: boolean } {
    const start = this.#at
    const variables: string[] = []
    for (;;) {
      this.#skipSpace()
      const token = this.#next()
      if (token.kind !== 'variable') break
      variables.push(token.text)
      this.#skipSpace()
      const operator = this.#next()
      if (operator.kind === 'declare' || operator.kind === 'assign') {
        const assigns = operator.kind === 'assign'
        const unknown = assigns
          ? variables.find(name => !this.#variables.includes(name))
          : undefined
        if (unknown !== undefined) this.#fail(`undefined variable "${unknown}"`, token)
        return { variables, assigns }
      }
      if (operator.kind !== 'comma') break
      if (context !== 'range' || variables.length > 1)
        this.#fail(`too many declarations in ${context}`, operator)
    }
    this.#at = start
    return { variables: [], assigns: false }
  }

  #command(context: string): Command {
    this.#skipSpace()
    const start = this.#peek()
    const operands: Operand[] = []
    for (;;) {
      this.#skipSpace()
      const token = this.#peek()
      if (token.kind === 'pipe' || token.kind === 'close' || token.kind === ')') break
      operands.push(this.#operand(context))
      const after = this.#peek().kind
      if (after !== 'space' && after !== 'pipe' && after !== 'close' && after !== ')')
        this.#unexpected(this.#peek(), 'operand')
    }
    if (operands.length === 0) this.#fail('empty command')
    return { operands, pos: start.pos, text: this.#text(start.pos) }
  }

  #operand(context: string): Operand {
    const start = this.#peek()
    const base = this.#term(context)
    const pos = this.#peek().pos
    const path: string[] = []
    while (this.#peek().kind === 'field') path.push(this.#next().text.slice(1))
    if (path.length === 0) return base
    const text = this.#text(start.pos)
    if (base.kind === 'field' || base.kind === 'variable')
      return { ...base, path: [...base.path, ...path], pos, text }
    if (base.kind === 'literal' || base.kind === 'dot' || base.kind === 'nil')
      return this.#fail(`unexpected . after term "${base.text}"`, start)
    return { kind: 'chain', of: base, path, pos, text }
  }

  #term(context: string): Operand {
    const token = this.#next()
    const at = { pos: token.pos, text: this.#source.slice(token.pos, token.end) }
    if (token.kind === 'dot' || token.kind === 'nil') return { kind: token.kind, ...at }
    switch (token.kind as string) {
      case 'bool':
        return { kind: 'literal', value: token.text === 'true', ...at }
      case 'number':
        return { kind: 'literal', value: numberOf(token.text), ...at }
      case 'string':
        return { kind: 'literal', value: token.text, ...at }
      case 'field':
        return { kind: 'field', path: [token.text.slice(1)], ...at }
      case 'variable':
        if (!this.#variables.includes(token.text))
          this.#fail(`undefined variable "${token.text}"`, token)
        return { kind: 'variable', name: token.text, path: [], ...at }
      case 'identifier':
        if (!this.#functions.has(token.text))
          this.#fail(`function "${token.text}" not defined`, token)
        return { kind: 'function', name: token.text, ...at }
      case '(': {
        if (++this.#depth > DEPTH_MAX) this.#fail(`nested deeper than ${DEPTH_MAX}`)
        const pipeline = this.#pipeline('parenthesized pipeline', ')')
        this.#depth--
        return { kind: 'pipeline', pipeline, pos: token.pos, text: this.#text(token.pos) }
      }
      default:
        return this.#unexpected(token, context)
    }
  }

  /** The source from `pos` to the last token read, without white space and closing delimiter. */
  #text(pos: number): string {
    let last = this.#at - 1
    while (last > 0 && ['space', 'close'].includes(this.#tokens[last]?.kind ?? '')) last--
    return this.#source.slice(pos, this.#tokens[last]?.end ?? pos)
  }
}

/** Number() knows Go's prefixes but no sign before them. */
function numberOf(text: string): number {
  const digits = text.replaceAll('_', '').replace(/^[+-]/, '')
  return text.startsWith('-') ? 0 - Number(digits) : Number(digits)
}
