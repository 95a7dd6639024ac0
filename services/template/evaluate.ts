import { messageOf } from '../../runtime/errors.ts'
import type { Command, Operand, Pipeline, Statement, Template } from './ast.ts'
import { executionError } from './error.ts'
import { BUILTINS } from './functions.ts'
import { type TemplateFunction, entriesOf, format, isTrue, lookUp, typeName } from './value.ts'

// Limits that Go leaves to the machine: templates come from users and run in the agent and in managers.
const OUTPUT_MAX = 4 * 1024 * 1024
const STEPS_MAX = 1_000_000
const CALLS_MAX = 100

export interface ExecuteOptions {
  /** Added to the built-in functions; must have been named to parseTemplate(). */
  readonly functions?: Readonly<Record<string, TemplateFunction>>
  /** A key the data does not have: prints `<no value>` (default), or is an error, as Swarm's tasks want it. */
  readonly missingKey?: 'no-value' | 'error'
}

/**
 * Runs a parsed template over plain data: objects and Maps are maps, functions among the data are methods
 * (`{{.Label "x"}}`).
 * @throws StatusError InvalidArgument `template: name:line:column: executing "name" at <node>: …`, in Go's words
 */
export function execute(template: Template, data: unknown, options: ExecuteOptions = {}): string {
  return new Execution(template, options).run(data)
}

interface Variable {
  readonly name: string
  value: unknown
}
type Flow = 'next' | 'break' | 'continue'
type Node = { readonly pos: number; readonly text: string }

class Execution {
  readonly #template: Template
  readonly #functions: Readonly<Record<string, TemplateFunction>>
  readonly #strict: boolean
  #out = ''
  #steps = 0
  #executing: string
  #calls = 0
  #variables: Variable[] = []

  constructor(template: Template, options: ExecuteOptions) {
    this.#template = template
    this.#executing = template.name
    this.#functions = { ...BUILTINS, ...options.functions }
    this.#strict = options.missingKey === 'error'
  }

  run(data: unknown): string {
    this.#variables = [{ name: '$', value: data }]
    this.#list(this.#template.body, data)
    return this.#out
  }

  #fail(node: Node, problem: string, cause?: unknown): never {
    const { name, source } = this.#template
    throw executionError(name, this.#executing, source, node, problem, cause)
  }

  #write(text: string, node: Node): void {
    this.#out += text
    if (this.#out.length > OUTPUT_MAX) this.#fail(node, `output is longer than ${OUTPUT_MAX}`)
  }

  #list(statements: readonly Statement[], dot: unknown): Flow {
    for (const statement of statements) {
      const flow = this.#statement(statement, dot)
      if (flow !== 'next') return flow
    }
    return 'next'
  }

  #statement(statement: Statement, dot: unknown): Flow {
    switch (statement.kind) {
      case 'text':
        this.#write(statement.text, { pos: 0, text: '' })
        return 'next'
      case 'action': {
        const { pipeline } = statement
        const value = this.#pipeline(pipeline, dot)
        if (pipeline.variables.length === 0) this.#print(value, pipeline)
        return 'next'
      }
      case 'break':
      case 'continue':
        return statement.kind
      case 'template': {
        this.#call(statement, dot)
        return 'next'
      }
      case 'if':
      case 'with':
      case 'range': {
        const mark = this.#variables.length
        const flow =
          statement.kind === 'range' ? this.#range(statement, dot) : this.#branch(statement, dot)
        this.#variables.length = mark
        return flow
      }
    }
  }

  #branch(
    statement: Extract<Statement, { readonly kind: 'if' | 'with' | 'range' }>,
    dot: unknown,
  ): Flow {
    const value = this.#pipeline(statement.pipeline, dot)
    if (!isTrue(value)) return this.#list(statement.otherwise, dot)
    return this.#list(statement.body, statement.kind === 'with' ? value : dot)
  }

  #range(
    statement: Extract<Statement, { readonly kind: 'if' | 'with' | 'range' }>,
    dot: unknown,
  ): Flow {
    const { pipeline } = statement
    const items = this.#items(this.#evaluate(pipeline, dot), pipeline)
    if (items.length === 0) return this.#list(statement.otherwise, dot)
    const mark = this.#variables.length
    for (const [key, item] of items) {
      const [first, second] = pipeline.variables
      if (first !== undefined) {
        const values =
          second === undefined
            ? [[first, item] as const]
            : [[first, key] as const, [second, item] as const]
        for (const [name, value] of values) this.#bind(name, value, pipeline.assigns)
      }
      const flow = this.#list(statement.body, item)
      this.#variables.length = mark
      if (flow === 'break') break
    }
    return 'next'
  }

  #items(value: unknown, node: Node): readonly (readonly [unknown, unknown])[] {
    if (value === null || value === undefined) return []
    if (Array.isArray(value)) return value.map((item: unknown, i) => [i, item] as const)
    if (typeof value === 'number' && Number.isInteger(value)) {
      if (value > STEPS_MAX) this.#fail(node, `range over ${value} is too long`)
      return Array.from({ length: Math.max(0, value) }, (_, i) => [i, i] as const)
    }
    return entriesOf(value) ?? this.#fail(node, `range can't iterate over ${format(value)}`)
  }

  #call(statement: Extract<Statement, { readonly kind: 'template' }>, dot: unknown): void {
    const body = this.#template.definitions.get(statement.name)
    if (body === undefined) this.#fail(statement, `template "${statement.name}" not defined`)
    if (++this.#calls > CALLS_MAX)
      this.#fail(statement, `exceeded maximum template depth (${CALLS_MAX})`)
    const data = statement.pipeline === undefined ? null : this.#pipeline(statement.pipeline, dot)
    const [variables, executing] = [this.#variables, this.#executing]
    this.#variables = [{ name: '$', value: data }]
    this.#executing = statement.name
    this.#list(body, data)
    this.#variables = variables
    this.#executing = executing
    this.#calls--
  }

  #bind(name: string, value: unknown, assigns: boolean): void {
    const known = assigns ? this.#variables.findLast(variable => variable.name === name) : undefined
    if (known === undefined) this.#variables.push({ name, value })
    else known.value = value
  }

  #pipeline(pipeline: Pipeline, dot: unknown): unknown {
    const value = this.#evaluate(pipeline, dot)
    for (const name of pipeline.variables) this.#bind(name, value, pipeline.assigns)
    return value
  }

  #evaluate(pipeline: Pipeline, dot: unknown): unknown {
    if (++this.#steps > STEPS_MAX) this.#fail(pipeline, `takes more than ${STEPS_MAX} steps`)
    const [first, ...rest] = pipeline.commands
    if (first === undefined) return undefined
    let value = this.#command(first, dot, [])
    for (const command of rest) value = this.#command(command, dot, [value])
    return value
  }

  /** `last` holds what came through the pipe: the last argument. */
  #command(command: Command, dot: unknown, last: readonly unknown[]): unknown {
    const [first, ...rest] = command.operands
    if (first === undefined) return undefined
    if (first.kind === 'function') return this.#function(command, first.name, rest, dot, last)
    if (first.kind === 'literal' || first.kind === 'dot' || first.kind === 'pipeline') {
      if (rest.length + last.length > 0)
        this.#fail(first, `can't give argument to non-function ${first.text}`)
      return this.#operand(first, dot)
    }
    if (first.kind === 'nil') return this.#fail(first, 'nil is not a command')
    const value = this.#operand(first, dot, true)
    if (typeof value === 'function')
      return this.#invoke(command, first.text, value as TemplateFunction, [
        ...rest.map(operand => this.#operand(operand, dot)),
        ...last,
      ])
    if (rest.length + last.length > 0)
      this.#fail(first, `${fieldName(first.text)} has arguments but cannot be invoked as function`)
    return value
  }

  #function(
    command: Command,
    name: string,
    operands: readonly Operand[],
    dot: unknown,
    last: readonly unknown[],
  ): unknown {
    if (name === 'and' || name === 'or') {
      let value: unknown
      for (const operand of operands) {
        value = this.#operand(operand, dot)
        if (isTrue(value) === (name === 'or')) return value
      }
      return last.length > 0 ? last[0] : value
    }
    const callee = Object.hasOwn(this.#functions, name) ? this.#functions[name] : undefined
    if (callee === undefined) return this.#fail(command, `"${name}" is not a defined function`)
    const args = [...operands.map(operand => this.#operand(operand, dot)), ...last]
    if (args.length < callee.length)
      this.#fail(
        command,
        `wrong number of args for ${name}: want ${callee.length} got ${args.length}`,
      )
    return this.#invoke(command, name, callee, args)
  }

  #invoke(
    command: Command,
    name: string,
    callee: TemplateFunction,
    args: readonly unknown[],
  ): unknown {
    try {
      return callee(...args)
    } catch (error) {
      return this.#fail(command, `error calling ${name}: ${messageOf(error)}`, error)
    }
  }

  /** `raw` leaves a method uncalled, for the command to give it its arguments. */
  #operand(operand: Operand, dot: unknown, raw = false): unknown {
    switch (operand.kind) {
      case 'dot':
        return dot
      case 'nil':
        return null
      case 'literal':
        return operand.value
      case 'field':
        return this.#path(operand, dot, operand.path, raw)
      case 'variable': {
        const variable = this.#variables.findLast(({ name }) => name === operand.name)
        if (variable === undefined) this.#fail(operand, `undefined variable: ${operand.name}`)
        return this.#path(operand, variable.value, operand.path, raw)
      }
      case 'chain':
        return this.#path(operand, this.#operand(operand.of, dot), operand.path, raw)
      case 'function':
        return this.#function({ ...operand, operands: [operand] }, operand.name, [], dot, [])
      case 'pipeline':
        return this.#pipeline(operand.pipeline, dot)
    }
  }

  #path(node: Operand, from: unknown, path: readonly string[], raw: boolean): unknown {
    let value = from
    for (const [i, key] of path.entries()) {
      value = this.#field(node, value, key)
      if (typeof value === 'function' && !(raw && i === path.length - 1))
        value = this.#invoke({ ...node, operands: [] }, key, value as TemplateFunction, [])
    }
    return value
  }

  #field(node: Operand, receiver: unknown, key: string): unknown {
    if (receiver === undefined) {
      if (this.#strict) this.#fail(node, `nil data; no entry for key ${JSON.stringify(key)}`)
      return undefined
    }
    if (receiver === null) this.#fail(node, `nil pointer evaluating interface {}.${key}`)
    if (entriesOf(receiver) === undefined)
      this.#fail(node, `can't evaluate field ${key} in type ${typeName(receiver)}`)
    const { found, value } = lookUp(receiver, key)
    if (!found && this.#strict) this.#fail(node, `map has no entry for key ${JSON.stringify(key)}`)
    return value
  }

  #print(value: unknown, node: Node): void {
    if (typeof value === 'function') this.#fail(node, `can't print ${node.text} of type func`)
    this.#write(value === undefined ? '<no value>' : format(value), node)
  }
}

/** The last field of `.A.B`, which is what Go names. */
function fieldName(text: string): string {
  return text.slice(text.lastIndexOf('.') + 1)
}
