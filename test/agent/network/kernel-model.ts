import type { CommandResult, Commands } from '../../../agent/network/commands.ts'
import { StatusError } from '../../../runtime/errors.ts'

interface Link {
  kind: string
  mac: string
  up: boolean
  mtu: number
  master?: string | undefined
  nfCall: number
  vxlan?: { id: number; local: string; port: number; learning: boolean; ttl: number }
  port: { learning: boolean; neigh_suppress: boolean; hairpin: boolean }
}

const OK: CommandResult = { code: 0, stdout: '', stderr: '' }
const NEW_PORT = { learning: true, neigh_suppress: false, hairpin: false }

/** A small kernel that knows the commands the agent gives, refuses what the real one refuses, and prints what iproute2 prints. */
export class KernelModel implements Commands {
  readonly links = new Map<string, Link>()
  readonly addresses = new Map<string, { local: string; prefixlen: number }[]>()
  /** `device mac` → nodes */
  readonly fdbSelf = new Map<string, string[]>()
  readonly fdbMaster = new Set<string>()
  /** `device address` → MAC */
  readonly neighbours = new Map<string, string>()
  readonly sysctls = new Map<string, string>([['net.ipv4.ip_forward', '0']])
  readonly routes: { dst: string; dev: string }[] = []
  readonly missing = new Set<string>()
  table: string | undefined
  dockerUser: string[] | undefined = ['-A DOCKER-USER -j RETURN']
  readonly ran: string[] = []
  /** Lines of batches that came, as they came. */
  readonly lines: string[] = []
  /** A line the kernel refuses although it is right. */
  refuse: ((line: string) => boolean) | undefined

  constructor() {
    this.links.set('eth0', {
      kind: '',
      mac: '02:00:00:00:00:01',
      up: true,
      mtu: 1500,
      nfCall: 0,
      port: NEW_PORT,
    })
    this.addresses.set('eth0', [{ local: '192.0.2.1', prefixlen: 24 }])
    this.routes.push({ dst: 'default', dev: 'eth0' }, { dst: '192.0.2.0/24', dev: 'eth0' })
  }

  async run(argv: readonly string[], input: string | undefined): Promise<CommandResult> {
    const [tool = '', ...args] = argv
    this.ran.push(argv.join(' '))
    if (this.missing.has(tool))
      throw new StatusError('NotFound', `${tool} is not installed on this host`)
    if (args.includes('-batch')) return this.#batch(tool, input ?? '')
    if (tool === 'sysctl') return this.#sysctl(args)
    if (tool === 'nft') return this.#nft(args, input)
    if (tool === 'iptables') return this.#iptables(args)
    if (tool === 'conntrack')
      return { code: 1, stdout: '', stderr: '0 flow entries have been deleted.' }
    const shown = args.filter(arg => !arg.startsWith('-')).join(' ')
    const rows = this.#show(tool === 'bridge' ? `bridge ${shown}` : shown)
    return { code: 0, stdout: JSON.stringify(rows), stderr: '' }
  }

  #show(what: string): unknown[] {
    if (what === 'link show')
      return [...this.links].map(([name, link]) => this.#linkRow(name, link))
    if (what === 'addr show')
      return [...this.addresses].map(([ifname, list]) => ({
        ifname,
        addr_info: list.map(address => ({ family: 'inet', ...address })),
      }))
    if (what === 'bridge fdb show')
      return [
        ...[...this.fdbSelf].flatMap(([key, nodes]) =>
          nodes.map(dst => ({
            mac: key.split(' ')[1],
            ifname: key.split(' ')[0],
            dst,
            flags: ['self'],
            state: 'static',
          })),
        ),
        ...[...this.fdbMaster].map(key => {
          const [ifname = '', mac] = key.split(' ')
          return { mac, ifname, flags: [], master: this.links.get(ifname)?.master, state: 'static' }
        }),
      ]
    if (what === 'neigh show nud permanent')
      return [...this.neighbours].map(([key, lladdr]) => {
        const [dev, dst] = key.split(' ')
        return { dst, dev, lladdr, state: ['PERMANENT'] }
      })
    if (what === 'route show') return this.routes
    throw new Error(`unknown: ${what}`)
  }

  #linkRow(ifname: string, link: Link): unknown {
    const { vxlan } = link
    return {
      ifname,
      flags: link.up ? ['UP'] : [],
      mtu: link.mtu,
      address: link.mac,
      ...(link.master === undefined ? {} : { master: link.master }),
      linkinfo: {
        info_kind: link.kind,
        info_data: link.kind === 'bridge' ? { nf_call_iptables: link.nfCall } : (vxlan ?? {}),
        ...(link.master === undefined
          ? {}
          : { info_slave_kind: 'bridge', info_slave_data: link.port }),
      },
      stats64: { rx: { bytes: 1, errors: 0, dropped: 0 }, tx: { bytes: 2, errors: 1, dropped: 2 } },
    }
  }

  #batch(tool: string, input: string): CommandResult {
    let stderr = ''
    for (const [i, line] of input.split('\n').entries()) {
      if (line === '') continue
      this.lines.push(line)
      const words = line.split(' ')
      const error =
        this.refuse?.(line) === true ? 'Operation not permitted' : this.#line(tool, words)
      if (error !== undefined) stderr += `RTNETLINK answers: ${error}\nCommand failed -:${i + 1}\n`
    }
    return { code: stderr === '' ? 0 : 1, stdout: '', stderr }
  }

  #line(tool: string, words: readonly string[]): string | undefined {
    const after = (key: string): string | undefined => {
      const at = words.indexOf(key)
      return at < 0 ? undefined : words[at + 1]
    }
    const device = after('dev') ?? words[2] ?? ''
    const verb = `${words[0]} ${words[1]}`
    if (tool === 'bridge') return this.#bridgeLine(verb, words, device, after)
    if (verb === 'link add') return this.#addLink(words, after)
    const link = this.links.get(device)
    if (link === undefined) return 'No such device'
    if (verb === 'link del') this.#delLink(device)
    else if (verb === 'link set') this.#setLink(device, link, words, after)
    else if (verb === 'addr replace' || verb === 'addr del')
      this.#address(verb, device, words[2] ?? '')
    else if (verb === 'neigh replace')
      this.neighbours.set(`${device} ${words[2]}`, after('lladdr') ?? '')
    else if (verb === 'neigh del')
      return this.neighbours.delete(`${device} ${words[2]}`)
        ? undefined
        : 'No such file or directory'
    else throw new Error(`unknown line: ${words.join(' ')}`)
    return undefined
  }

  #addLink(
    words: readonly string[],
    after: (key: string) => string | undefined,
  ): string | undefined {
    const name = words[2] ?? ''
    if (this.links.has(name)) return 'File exists'
    const kind = after('type') ?? ''
    const vxlan = {
      id: Number(after('id')),
      local: after('local') ?? '',
      port: Number(after('dstport')),
      learning: !words.includes('nolearning'),
      ttl: Number(after('ttl') ?? 0),
    }
    if (
      kind === 'vxlan' &&
      [...this.links.values()].some(l => l.vxlan?.id === vxlan.id && l.vxlan.port === vxlan.port)
    )
      return 'File exists'
    this.links.set(name, {
      kind,
      mac: '5e:00:00:00:00:01',
      up: false,
      mtu: 1500,
      nfCall: 0,
      port: { ...NEW_PORT },
      ...(kind === 'vxlan' ? { vxlan } : {}),
    })
    if (kind === 'bridge')
      for (const key of ['route_localnet', 'rp_filter', 'send_redirects'])
        this.sysctls.set(`net.ipv4.conf.${name}.${key}`, key === 'send_redirects' ? '1' : '0')
    return undefined
  }

  #delLink(name: string): void {
    this.links.delete(name)
    this.addresses.delete(name)
    for (const link of this.links.values()) if (link.master === name) link.master = undefined
    for (const keys of [this.fdbSelf, this.fdbMaster, this.neighbours, this.sysctls])
      for (const key of keys.keys())
        if (key.startsWith(`${name} `) || key.includes(`.${name}.`)) keys.delete(key)
    for (const key of this.fdbMaster)
      if (this.links.get(key.split(' ')[0] ?? '')?.master === undefined) this.fdbMaster.delete(key)
  }

  #setLink(
    device: string,
    link: Link,
    words: readonly string[],
    after: (key: string) => string | undefined,
  ): void {
    const mac = after('address')
    if (mac !== undefined) {
      link.mac = mac
      // As the real one: neighbours do not survive a change of address.
      for (const key of this.neighbours.keys())
        if (key.startsWith(`${device} `)) this.neighbours.delete(key)
    }
    if (after('mtu') !== undefined) link.mtu = Number(after('mtu'))
    if (after('nf_call_iptables') !== undefined) link.nfCall = Number(after('nf_call_iptables'))
    if (words.includes('up')) link.up = true
    const master = after('master')
    if (master !== undefined) {
      link.master = master
      link.port = { ...NEW_PORT }
    }
  }

  #address(verb: string, device: string, cidr: string): void {
    const [local = '', prefix] = cidr.split('/')
    const prefixlen = Number(prefix)
    const others = (this.addresses.get(device) ?? []).filter(
      a => a.local !== local || a.prefixlen !== prefixlen,
    )
    this.addresses.set(device, verb === 'addr del' ? others : [...others, { local, prefixlen }])
  }

  #bridgeLine(
    verb: string,
    words: readonly string[],
    device: string,
    after: (key: string) => string | undefined,
  ): string | undefined {
    const link = this.links.get(device)
    if (link === undefined) return 'No such device'
    if (verb === 'link set') {
      if (link.master === undefined) return 'Operation not supported'
      if (after('learning') !== undefined) link.port.learning = after('learning') === 'on'
      if (after('neigh_suppress') !== undefined)
        link.port.neigh_suppress = after('neigh_suppress') === 'on'
      if (after('hairpin') !== undefined) link.port.hairpin = after('hairpin') === 'on'
      return undefined
    }
    const key = `${device} ${words[2]}`
    if (words.includes('master')) {
      if (link.master === undefined) return 'Operation not supported'
      if (verb === 'fdb replace') this.fdbMaster.add(key)
      else return this.fdbMaster.delete(key) ? undefined : 'No such file or directory'
      return undefined
    }
    const dst = after('dst') ?? ''
    if (verb === 'fdb replace') this.fdbSelf.set(key, [dst])
    else {
      const left = (this.fdbSelf.get(key) ?? []).filter(node => node !== dst)
      if (left.length > 0) this.fdbSelf.set(key, left)
      else if (!this.fdbSelf.delete(key)) return 'No such file or directory'
    }
    return undefined
  }

  #sysctl(args: readonly string[]): CommandResult {
    if (args[0] === '-q') {
      const [key = '', value = ''] = (args[2] ?? '').split('=')
      if (!this.sysctls.has(key)) return { code: 1, stdout: '', stderr: `cannot stat ${key}` }
      this.sysctls.set(key, value)
      return OK
    }
    const lines = args
      .slice(1)
      .flatMap(key => (this.sysctls.has(key) ? [`${key} = ${this.sysctls.get(key)}`] : []))
    return { ...OK, stdout: lines.join('\n') }
  }

  #nft(args: readonly string[], input: string | undefined): CommandResult {
    const none = { code: 1, stdout: '', stderr: 'Error: No such file or directory' }
    if (args.includes('-f')) this.table = input?.replace(/^(add|delete) table.*\n/gm, '')
    else if (this.table === undefined) return none
    else if (args[0] === 'delete') this.table = undefined
    else return { ...OK, stdout: this.table }
    return OK
  }

  #iptables(args: readonly string[]): CommandResult {
    const rule = ['-A', ...args.slice(3)].join(' ')
    if (this.dockerUser === undefined) return { code: 1, stdout: '', stderr: 'No chain' }
    if (args.includes('-S'))
      return { ...OK, stdout: `-N DOCKER-USER\n${this.dockerUser.join('\n')}\n` }
    if (args.includes('-C')) return { ...OK, code: this.dockerUser.includes(rule) ? 0 : 1 }
    this.dockerUser.unshift(rule)
    return OK
  }
}
