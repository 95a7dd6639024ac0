// The programs a lab needs, by Debian package. What is there is never touched.
import { accessSync, constants, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { LabError } from './errors.ts'
import { hostEnv } from './holder.ts'
import { runOk } from './run.ts'

/** Every package the lab or the tests on it use, and the program that shows it is there. */
const PROGRAMS = {
  'docker.io': 'dockerd',
  iproute2: 'ip',
  nftables: 'nft',
  iptables: 'iptables',
  conntrack: 'conntrack',
  'redis-server': 'redis-server',
  'redis-tools': 'redis-cli',
  'busybox-static': 'busybox',
  prometheus: 'prometheus',
  procps: 'sysctl',
  'util-linux': 'nsenter',
  curl: 'curl',
  'iputils-ping': 'ping',
  faketime: 'faketime',
  'etcd-server': 'etcd',
} as const

export type Package = keyof typeof PROGRAMS

/** What only some tests and benchmarks need, so that they ask for it themselves. */
const SPECIAL: readonly Package[] = ['faketime', 'etcd-server']

export const LAB_PACKAGES = (Object.keys(PROGRAMS) as Package[]).filter(
  name => !SPECIAL.includes(name),
)

const INSTALL_TIMEOUT_MS = 15 * 60_000
const POLICY_FILE = '/usr/sbin/policy-rc.d'

/**
 * Installs the packages whose programs are missing, without starting any service.
 *
 * @throws {LabError} saying exactly what to install, when not root or without apt-get
 */
export async function ensurePackages(
  names: readonly Package[],
  log: (line: string) => void = () => undefined,
): Promise<void> {
  const isRoot = process.getuid?.() === 0
  const missing = names.filter(name => !isOnPath(PROGRAMS[name]))
  if (missing.length > 0) {
    const command = `apt-get install -y --no-install-recommends ${missing.join(' ')}`
    if (!isRoot || !isOnPath('apt-get')) {
      throw new LabError(`programs are missing; as root on Debian or Ubuntu, run: ${command}`)
    }
    log(`installing ${missing.join(' ')}`)
    await install(missing)
    const still = missing.filter(name => !isOnPath(PROGRAMS[name]))
    if (still.length > 0) throw new LabError(`still missing after: ${command}`)
  }
  if (!isRoot) throw new LabError('the lab makes namespaces and engines; run it as root')
}

/** Whether a program is found on the PATH that commands in a host get. */
export function isOnPath(program: string): boolean {
  return programPath(program) !== undefined
}

/** The program's file; undefined when it is not installed. */
export function programPath(program: string): string | undefined {
  const dirs = (hostEnv()['PATH'] ?? '').split(delimiter).filter(Boolean)
  return dirs.map(dir => join(dir, program)).find(isExecutable)
}

async function install(names: readonly Package[]): Promise<void> {
  const env = { DEBIAN_FRONTEND: 'noninteractive' }
  const options = { env, timeoutMs: INSTALL_TIMEOUT_MS }
  const command = ['apt-get', 'install', '-y', '--no-install-recommends', ...names]
  await withoutServices(async () => {
    if (!hasPackageLists()) await runOk(['apt-get', 'update'], options)
    try {
      await runOk(command, options)
    } catch {
      // The lists may be older than the archive, which keeps no old versions: fetch them and try again.
      await runOk(['apt-get', 'update'], options)
      await runOk(command, options)
    }
  })
}

/** Lets no package start its daemon meanwhile; a policy that was there already stays. */
async function withoutServices(work: () => Promise<void>): Promise<void> {
  const mine = !existsSync(POLICY_FILE)
  if (mine) writeFileSync(POLICY_FILE, '#!/bin/sh\nexit 101\n', { mode: 0o755 })
  try {
    await work()
  } finally {
    if (mine) rmSync(POLICY_FILE, { force: true })
  }
}

function hasPackageLists(): boolean {
  const dir = '/var/lib/apt/lists'
  return existsSync(dir) && readdirSync(dir).some(file => file.includes('Packages'))
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}
