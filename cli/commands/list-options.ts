import type { Command } from 'commander'
import { collect } from '../filters.ts'
import type { ListOptions } from '../output/list.ts'

export interface ListFlags extends ListOptions {
  readonly filter?: readonly string[]
  /** False with --no-trunc. */
  readonly trunc: boolean
}

/** The flags every listing has. */
export function addListOptions(command: Command, filters: readonly string[]): Command {
  if (filters.length > 0) {
    command.option('-f, --filter <filter>', `filter: ${filters.join(', ')} (repeatable)`, collect)
  }
  return command
    .option('--format <format>', 'table, json, a Go template, or "table TEMPLATE"')
    .option('-q, --quiet', 'only ids')
    .option('--no-trunc', 'print everything in full')
}
