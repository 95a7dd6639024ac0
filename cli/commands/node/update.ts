import { Command } from 'commander'
import type { NodeAvailability, NodeRole, NodeSpec } from '../../../proto/index.ts'
import type { Context } from '../../context.ts'
import { Failure, usage } from '../../failure.ts'
import { collect } from '../../filters.ts'
import { choice, pairs } from '../../flags/values.ts'
import type { Draft } from '../../spec/draft.ts'
import { AVAILABILITIES } from '../swarm/init.ts'
import { changeNode } from './change.ts'

export interface NodeFlags {
  readonly availability?: string
  readonly labelAdd?: readonly string[]
  readonly labelRm?: readonly string[]
  readonly role?: string
}

/** `node update` (swarm row CL-29). */
export function command(context: Context): Command {
  return new Command('update')
    .description('Change a node')
    .argument('<node>', 'name or id')
    .option('--availability <availability>', 'active, pause or drain')
    .option('--label-add <k=v>', 'add or replace a label (repeatable)', collect)
    .option('--label-rm <key>', 'remove a label (repeatable)', collect)
    .option('--role <role>', 'worker or manager')
    .action(async (reference: string, flags: NodeFlags) => {
      if (Object.keys(flags).length === 0) {
        throw usage('nothing to change', 'skein node update --help lists what can be changed')
      }
      const api = await context.connect()
      await changeNode(api, reference, spec => {
        editNode(spec, flags)
        return true
      })
      context.stdout.write(`${reference}\n`)
    })
}

/** Writes the flags into a node's spec. @throws Failure for a label that is not there */
export function editNode(spec: Draft<NodeSpec>, flags: NodeFlags): void {
  spec.annotations ??= { name: '', labels: {} }
  const { labels } = spec.annotations
  for (const key of flags.labelRm ?? []) {
    if (!Object.hasOwn(labels, key)) {
      throw new Failure(`key ${key} doesn't exist in node's labels`)
    }
    delete labels[key]
  }
  Object.assign(labels, pairs('--label-add', flags.labelAdd))
  if (flags.availability !== undefined) {
    spec.availability = choice(
      '--availability',
      flags.availability,
      AVAILABILITIES,
    ) as NodeAvailability
  }
  if (flags.role !== undefined) {
    spec.role = choice('--role', flags.role, ['worker', 'manager']) as NodeRole
  }
}
