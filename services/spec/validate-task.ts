import type { NetworkAttachmentSpec, Resources, TaskSpec } from '../../proto/index.ts'
import { parseConstraint, parseLabelDescriptor } from '../constraint/parse.ts'
import { ipToNumber } from '../net/ip.ts'
import { addressFor } from '../template/expand.ts'
import { isTemplate } from '../template/parser.ts'
import { type Fail, checkAtLeastZero, checkKeys, within } from './check.ts'
import { validateContainer } from './validate-container.ts'

const NANO_CPUS_MIN = 1_000_000
const MEMORY_MIN = 4 * 1024 * 1024

/** Rules of a task spec, of a service or of a container run by name. `slots` is how many slots are known to exist. */
export function validateTask(task: TaskSpec, path: string, slots: number, fail: Fail): void {
  if (task.container === null) return fail(`${path}.container`, 'must be given')
  validateContainer(task.container, `${path}.container`, fail)
  validateResources(task, `${path}.resources`, fail)
  const { restart, placement, logDriver } = task
  checkAtLeastZero(restart?.delayMs ?? 0, `${path}.restart.delayMs`, fail)
  checkAtLeastZero(restart?.windowMs ?? 0, `${path}.restart.windowMs`, fail)
  for (const [i, text] of (placement?.constraints ?? []).entries())
    within(fail, `${path}.placement.constraints[${i}]`, () => parseConstraint(text))
  for (const [i, { spread }] of (placement?.preferences ?? []).entries())
    if (parseLabelDescriptor(spread) === undefined)
      fail(
        `${path}.placement.preferences[${i}]`,
        `cannot spread over "${spread}"; use node.labels.<key> or engine.labels.<key>`,
      )
  if (logDriver !== null && logDriver.name === '' && Object.keys(logDriver.options).length > 0)
    fail(`${path}.logDriver`, 'has options but no name')
  validateNetworks(task, `${path}.networks`, slots, fail)
}

function validateResources(task: TaskSpec, path: string, fail: Fail): void {
  const { limits = null, reservations = null, swapBytes, swappiness } = task.resources ?? {}
  validateAmounts(limits, `${path}.limits`, fail)
  validateAmounts(reservations, `${path}.reservations`, fail)
  if ((limits?.generic ?? []).length > 0)
    fail(`${path}.limits.generic`, 'generic resources are reserved, not limited')
  const [limit, reserved] = [limits?.memoryBytes ?? 0, reservations?.memoryBytes ?? 0]
  if (limit > 0 && reserved > limit)
    fail(`${path}.reservations.memoryBytes`, `${reserved} is above the limit of ${limit}`)
  if (swapBytes !== undefined) {
    if (limit === 0) fail(`${path}.swapBytes`, 'memory swap provided, but no memory-limit was set')
    if (swapBytes < -1) fail(`${path}.swapBytes`, 'must be -1 or more')
  }
  if (swappiness !== undefined && (swappiness < -1 || swappiness > 100))
    fail(`${path}.swappiness`, 'must be between -1 and 100')
}

function validateAmounts(resources: Resources | null, path: string, fail: Fail): void {
  if (resources === null) return
  const { nanoCpus, memoryBytes, generic } = resources
  if (nanoCpus !== 0 && nanoCpus < NANO_CPUS_MIN)
    fail(`${path}.nanoCpus`, `invalid cpu value ${nanoCpus / 1e9}: Must be at least 0.001`)
  if (memoryBytes !== 0 && memoryBytes < MEMORY_MIN)
    fail(`${path}.memoryBytes`, `invalid memory value ${memoryBytes}: Must be at least 4MiB`)
  const kinds = new Set<string>()
  for (const [i, { kind, count, names }] of generic.entries()) {
    const place = `${path}.generic[${i}]`
    if (kind === '') fail(place, 'must have a kind')
    if (kinds.has(kind)) fail(place, `"${kind}" is given twice`)
    if (names.length > 0) fail(place, `"${kind}" must be asked for by number, not by name`)
    if (count < 1) fail(place, `"${kind}" must be at least 1`)
    kinds.add(kind)
  }
}

function validateNetworks(task: TaskSpec, path: string, slots: number, fail: Fail): void {
  const targets = new Set<string>()
  const mode = task.container?.networkMode ?? ''
  if (mode !== '' && task.networks.length > 0)
    fail(path, `network mode ${mode} cannot be combined with networks`)
  for (const [i, attachment] of task.networks.entries()) {
    const place = `${path}[${i}]`
    if (attachment.target === '') fail(`${place}.target`, 'must name a network')
    if (targets.has(attachment.target))
      fail(`${place}.target`, `is already attached to network ${attachment.target}`)
    targets.add(attachment.target)
    for (const [j, alias] of attachment.aliases.entries())
      if (!/^[a-zA-Z0-9_](?:[a-zA-Z0-9_.-]*[a-zA-Z0-9_])?$/.test(alias))
        fail(`${place}.aliases[${j}]`, `"${alias}" is not a host name`)
    checkKeys(attachment.driverOptions, `${place}.driverOptions`, fail)
    validateAddresses(attachment, `${place}.addresses`, slots, fail)
  }
}

/** One address a slot, or one template for all; empty entries leave the slot to the pool. */
function validateAddresses(
  attachment: NetworkAttachmentSpec,
  path: string,
  slots: number,
  fail: Fail,
): void {
  const { addresses } = attachment
  const templates = addresses.filter(isTemplate)
  if (templates.length > 0 && addresses.length > 1)
    fail(path, 'a template stands for all slots and must be the only entry')
  const count = templates.length > 0 ? Math.max(slots, 1) : addresses.length
  const owners = new Map<number, number>()
  for (let slot = 1; slot <= count; slot++) {
    within(fail, `${path}[${templates.length > 0 ? 0 : slot - 1}]`, () => {
      const text = addressFor(attachment, slot)
      if (text === undefined) return
      const address = ipToNumber(text)
      const other = owners.get(address)
      if (other !== undefined) throw new Error(`slots ${other} and ${slot} both have ${text}`)
      owners.set(address, slot)
    })
  }
}
