/** Parsed flags by commander's names (`--limit-cpu` is `limitCpu`), read with the type each one has. */
export class Flags {
  readonly #values: Readonly<Record<string, unknown>>

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined
  }

  text(name: string): string | undefined {
    const value = this.#values[name]
    return typeof value === 'string' ? value : undefined
  }

  /** Undefined when neither `--x` nor `--no-x` was given. */
  bool(name: string): boolean | undefined {
    const value = this.#values[name]
    return typeof value === 'boolean' ? value : undefined
  }

  list(name: string): readonly string[] {
    const value = this.#values[name]
    return Array.isArray(value) ? (value as string[]) : []
  }

  /** What a list flag adds: `--env` of create, `--env-add` of update. */
  added(name: string): readonly string[] {
    return [...this.list(name), ...this.list(`${name}Add`)]
  }

  /** What `--env-rm` of update takes away. */
  removed(name: string): readonly string[] {
    return this.list(`${name}Rm`)
  }
}
