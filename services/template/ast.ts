// A parsed template. `pos` is where Go reports the node, `text` its source for error messages.

interface At {
  readonly pos: number
  readonly text: string
}

export type Operand = At &
  (
    | { readonly kind: 'dot' }
    | { readonly kind: 'nil' }
    | { readonly kind: 'literal'; readonly value: string | number | boolean }
    /** .A.B: fields of the dot. */
    | { readonly kind: 'field'; readonly path: readonly string[] }
    /** $x.A: fields of a variable. */
    | { readonly kind: 'variable'; readonly name: string; readonly path: readonly string[] }
    /** (pipeline).A */
    | { readonly kind: 'chain'; readonly of: Operand; readonly path: readonly string[] }
    | { readonly kind: 'function'; readonly name: string }
    | { readonly kind: 'pipeline'; readonly pipeline: Pipeline }
  )

/** A function, method or value with its arguments: `printf "%d" .N`. */
export interface Command extends At {
  readonly operands: readonly Operand[]
}

export interface Pipeline extends At {
  /** `$i, $x :=`; with `assigns` it is `=`, to variables that exist. */
  readonly variables: readonly string[]
  readonly assigns: boolean
  readonly commands: readonly Command[]
}

export type Statement =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly pipeline: Pipeline }
  | {
      readonly kind: 'if' | 'with' | 'range'
      readonly pipeline: Pipeline
      readonly body: readonly Statement[]
      readonly otherwise: readonly Statement[]
    }
  | (At & {
      readonly kind: 'template'
      readonly name: string
      readonly pipeline: Pipeline | undefined
    })
  | { readonly kind: 'break' | 'continue' }

export interface Template {
  readonly name: string
  readonly source: string
  readonly body: readonly Statement[]
  /** What define and block named. */
  readonly definitions: ReadonlyMap<string, readonly Statement[]>
}
