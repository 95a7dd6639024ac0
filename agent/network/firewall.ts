import { messageOf } from '../../runtime/errors.ts'
import type { Commands } from './commands.ts'
import { MARK, MARK_MASK, TABLE } from './nft.ts'

const TIMEOUT_MS = 10_000
/** Flows of more addresses than this are left to time out by themselves. */
const MAX_CUTS = 4_096

/** Rules that must be in DOCKER-USER, because the engine's FORWARD policy is DROP and its own list linear. */
const DOCKER_USER_RULES: readonly (readonly string[])[] = [
  // What Skein's table translated may pass.
  ['-m', 'connmark', '--mark', `${hex(MARK)}/${hex(MARK_MASK)}`, '-j', 'ACCEPT'],
  // Frames bridged inside one overlay skip the rest of the list (+14 % throughput).
  ['-i', 'ovb+', '-o', 'ovb+', '-m', 'physdev', '--physdev-is-bridged', '-j', 'ACCEPT'],
]

export interface FirewallResult {
  /** What was put right, such as `table`; empty when all was as it should be. */
  readonly changed: readonly string[]
  readonly problems: readonly string[]
}

/**
 * The node's packet filter: Skein's table, two rules in the engine's chain, and flows to be cut.
 * Remembers how the kernel printed the table it loaded, so that any change to it is seen without parsing rules.
 */
export class Firewall {
  readonly #commands: Commands
  #loaded: { readonly text: string; readonly listing: string } | undefined
  #known = false
  readonly #cuts = new Set<string>()

  constructor(commands: Commands) {
    this.#commands = commands
  }

  /** Makes the kernel have `table` (undefined: no table of ours) and the engine's chain our rules. Never throws. */
  async apply(table: string | undefined): Promise<FirewallResult> {
    const changed: string[] = []
    const problems: string[] = []
    const attempt = async (work: () => Promise<readonly string[]>): Promise<void> => {
      try {
        changed.push(...(await work()))
      } catch (error) {
        problems.push(`firewall: ${messageOf(error)}`)
      }
    }
    await attempt(() => (table === undefined ? this.#removeTable() : this.#applyTable(table)))
    if (table !== undefined) await attempt(() => this.#applyDockerUser())
    return { changed, problems }
  }

  async #removeTable(): Promise<readonly string[]> {
    if (this.#known && this.#loaded === undefined) return []
    const present = (await this.#list()) !== undefined
    if (present) await this.#must(['nft', 'delete', 'table', 'ip', TABLE])
    this.#loaded = undefined
    this.#known = true
    return present ? ['table'] : []
  }

  async #applyTable(text: string): Promise<readonly string[]> {
    const listing = this.#loaded === undefined ? undefined : await this.#list()
    if (this.#loaded?.text === text && this.#loaded.listing === listing) return []
    this.#known = true
    this.#loaded = undefined
    await this.#must(['nft', '-f', '-'], text)
    this.#loaded = { text, listing: (await this.#list()) ?? '' }
    return ['table']
  }

  /** @returns the table without its counters, undefined when there is none */
  async #list(): Promise<string | undefined> {
    const { code, stdout, stderr } = await this.#commands.run(
      ['nft', '-s', 'list', 'table', 'ip', TABLE],
      undefined,
      TIMEOUT_MS,
    )
    if (code === 0) return stdout
    if (/No such file or directory/.test(stderr)) return undefined
    throw new Error(`nft list table ip ${TABLE}: ${stderr.trim().slice(0, 300)}`)
  }

  async #applyDockerUser(): Promise<readonly string[]> {
    const { code, stdout } = await this.#commands.run(
      ['iptables', '-w', '5', '-S', 'DOCKER-USER'],
      undefined,
      TIMEOUT_MS,
    )
    // No such chain: an engine without one, or with its nftables backend.
    if (code !== 0) return []
    const lines = new Set(stdout.split('\n').map(line => line.trim()))
    const changed: string[] = []
    for (const rule of DOCKER_USER_RULES) {
      if (lines.has(['-A', 'DOCKER-USER', ...rule].join(' '))) continue
      // Versions print rules in their own ways; -C knows.
      const check = await this.#commands.run(
        ['iptables', '-w', '5', '-C', 'DOCKER-USER', ...rule],
        undefined,
        TIMEOUT_MS,
      )
      if (check.code === 0) continue
      await this.#must(['iptables', '-w', '5', '-I', 'DOCKER-USER', ...rule])
      changed.push('docker-user')
    }
    return changed
  }

  /** Remembers addresses that nobody has any more; their flows are cut by the next `cut`. */
  gone(addresses: Iterable<string>): void {
    for (const address of addresses) if (this.#cuts.size < MAX_CUTS) this.#cuts.add(address)
  }

  /** An address that came back before its flows were cut keeps them. */
  returned(address: string): void {
    this.#cuts.delete(address)
  }

  /**
   * Cuts the flows of addresses that went away, each once: without this a UDP client stays pinned to a dead task for as
   * long as it sends, and TCP clients of a dead host hang in retransmission.
   * @returns problems
   */
  async cut(): Promise<readonly string[]> {
    const problems = new Set<string>()
    for (const address of this.#cuts) {
      this.#cuts.delete(address)
      for (const filter of ['--reply-src', '--orig-dst']) {
        try {
          await this.#conntrack(filter, address)
        } catch (error) {
          problems.add(`flows of addresses that went away were not cut: ${messageOf(error)}`)
        }
      }
    }
    return [...problems]
  }

  async #conntrack(filter: string, address: string): Promise<void> {
    const { code, stderr } = await this.#commands.run(
      ['conntrack', '-D', filter, address],
      undefined,
      TIMEOUT_MS,
    )
    // It exits 1 when there was nothing to delete.
    if (code !== 0 && !stderr.includes('0 flow entries'))
      throw new Error(`conntrack: ${stderr.trim().slice(0, 200)}`)
  }

  async #must(argv: readonly string[], input?: string): Promise<void> {
    const { code, stderr } = await this.#commands.run(argv, input, TIMEOUT_MS)
    if (code !== 0) throw new Error(`${argv.slice(0, 5).join(' ')}: ${stderr.trim().slice(0, 300)}`)
  }
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`
}
