import { StatusError } from '../../runtime/errors.ts'
import type { Commands } from './commands.ts'
import { wantedSysctls, type KernelChanges, type Line } from './diff.ts'
import {
  parseAddresses,
  parseFdb,
  parseLinks,
  parseNeighbours,
  parseRoutes,
  parseSysctls,
  type KernelState,
  type Route,
} from './kernel.ts'
import type { NetworkPlan } from './plan.ts'

const READ_TIMEOUT_MS = 5_000
const WRITE_TIMEOUT_MS = 20_000

/** A change the kernel did not take. `networkId` is empty when it concerns none. */
export interface ApplyFailure {
  readonly networkId: string
  readonly message: string
}

/** Devices and their addresses. */
export type Devices = Pick<KernelState, 'links' | 'addresses'>

/** @throws StatusError when a tool is missing, hangs or fails */
export async function readDevices(commands: Commands): Promise<Devices> {
  const links = parseLinks(await read(commands, ['ip', '-j', '-d', '-s', 'link', 'show']))
  const addresses = parseAddresses(await read(commands, ['ip', '-j', '-4', 'addr', 'show']))
  return { links, addresses }
}

/**
 * Reads what the diff needs. Nodes on no overlay are spared most of it.
 * @param devices when they have just been read
 * @throws StatusError when a tool is missing, hangs or fails
 */
export async function readKernel(
  commands: Commands,
  networks: readonly NetworkPlan[],
  devices?: Devices,
): Promise<KernelState> {
  const { links, addresses } = devices ?? (await readDevices(commands))
  if (networks.length === 0)
    return { links, addresses, fdb: new Map(), neighbours: new Map(), sysctls: new Map() }
  const fdb = parseFdb(await read(commands, ['bridge', '-j', 'fdb', 'show']))
  const neighbours = parseNeighbours(
    await read(commands, ['ip', '-j', '-4', 'neigh', 'show', 'nud', 'permanent']),
  )
  // -e: a bridge that is not there yet has no keys, and that is no error.
  const keys = wantedSysctls(networks).map(({ key }) => key)
  const sysctls = parseSysctls(await read(commands, ['sysctl', '-e', ...keys]))
  return { links, addresses, fdb, neighbours, sysctls }
}

/** The IPv4 routes of the main table. @throws StatusError */
export async function readRoutes(commands: Commands): Promise<Route[]> {
  return parseRoutes(await read(commands, ['ip', '-j', '-4', 'route', 'show']))
}

async function read(commands: Commands, argv: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await commands.run(argv, undefined, READ_TIMEOUT_MS)
  if (code !== 0)
    throw new StatusError(
      'Internal',
      `${argv.slice(0, 5).join(' ')} failed: ${stderr.trim().slice(0, 300)}`,
    )
  return stdout
}

/**
 * Runs the changes; one that fails does not keep the others from being made.
 * @throws StatusError when a tool is missing or hangs
 */
export async function applyKernel(
  commands: Commands,
  changes: KernelChanges,
): Promise<ApplyFailure[]> {
  const failures = [
    ...(await batch(commands, 'ip', changes.ip)),
    ...(await batch(commands, 'bridge', changes.bridge)),
  ]
  for (const { networkId, key, value } of changes.sysctls) {
    const { code, stderr } = await commands.run(
      ['sysctl', '-q', '-w', `${key}=${value}`],
      undefined,
      WRITE_TIMEOUT_MS,
    )
    if (code !== 0) failures.push({ networkId, message: `${key}=${value}: ${stderr.trim()}` })
  }
  return failures
}

/** Without -force a batch ends at its first error and leaves the rest undone. */
async function batch(
  commands: Commands,
  tool: 'ip' | 'bridge',
  lines: readonly Line[],
): Promise<ApplyFailure[]> {
  if (lines.length === 0) return []
  const input = lines.map(line => `${line.text}\n`).join('')
  const { code, stderr } = await commands.run(
    [tool, '-force', '-batch', '-'],
    input,
    WRITE_TIMEOUT_MS,
  )
  return code === 0 ? [] : batchFailures(tool, lines, stderr)
}

/** The tools print what the kernel said, then `Command failed -:<line>`. */
export function batchFailures(
  tool: string,
  lines: readonly Line[],
  stderr: string,
): ApplyFailure[] {
  const failures: ApplyFailure[] = []
  let said: string[] = []
  for (const text of stderr.split('\n')) {
    const number = /^Command failed -:(\d+)/.exec(text)?.[1]
    if (number === undefined) {
      if (text.trim() !== '') said.push(text.trim())
      continue
    }
    const line = lines[Number(number) - 1]
    const reason = said.join(' ') || 'failed'
    failures.push({
      networkId: line?.networkId ?? '',
      message: `${tool} ${line?.text ?? ''}: ${reason}`,
    })
    said = []
  }
  if (failures.length === 0)
    failures.push({ networkId: '', message: `${tool} -batch: ${said.join(' ').slice(0, 300)}` })
  return failures
}
