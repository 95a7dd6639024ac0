import { Command } from 'commander'
import type { Context } from '../../context.ts'
import { Failure, usage } from '../../failure.ts'
import { collect } from '../../filters.ts'
import { pairs, wholeNumber } from '../../flags/values.ts'
import type { NetworkSpecInit } from '../../../proto/index.ts'

interface NetworkFlags {
  readonly driver: string
  readonly subnet?: readonly string[]
  readonly gateway?: readonly string[]
  readonly ipRange?: readonly string[]
  readonly auxAddress?: readonly string[]
  readonly internal?: boolean
  readonly attachable?: boolean
  readonly ingress?: boolean
  readonly ipv6?: boolean
  readonly opt?: readonly string[]
  readonly label?: readonly string[]
}

/** `network create`. Every network spans the cluster, whichever driver is named. */
export function command(context: Context): Command {
  return new Command('create')
    .description('Create a network that spans the cluster')
    .argument('<network>', 'name')
    .option('-d, --driver <driver>', 'overlay', 'overlay')
    .option('--subnet <cidr>', 'addresses of the network (repeatable)', collect)
    .option('--gateway <ip>', 'address kept free as gateway (repeatable)', collect)
    .option(
      '--ip-range <cidr>',
      'part of the subnet tasks get addresses from (repeatable)',
      collect,
    )
    .option('--aux-address <name=ip>', 'address given to no task (repeatable)', collect)
    .option('--internal', 'no way out of the network')
    .option('--attachable', 'containers may join it as well as services')
    .option('--ingress', 'the network published ports go through')
    .option('--ipv6', 'with IPv6')
    .option('-o, --opt <k=v>', 'driver option, e.g. encrypted or mtu=1400 (repeatable)', collect)
    .option('--label <k=v>', 'label (repeatable)', collect)
    .option('--scope <scope>', 'accepted for compatibility')
    .action(async (name: string, flags: NetworkFlags) => {
      const api = await context.connect()
      const { network } = await api.control.createNetwork({ spec: networkSpec(name, flags) })
      if (network === null) throw new Failure('the manager answered without a network')
      context.stdout.write(`${network.id}\n`)
    })
}

/** The flags as a spec. `--opt encrypted` and `--opt mtu` (docker's long name as well) have fields of their own. */
export function networkSpec(name: string, flags: NetworkFlags): NetworkSpecInit {
  const options = pairs('--opt', flags.opt)
  const { encrypted, mtu, 'com.docker.network.driver.mtu': longMtu, ...driverOptions } = options
  const mtuText = mtu ?? longMtu
  return {
    annotations: { name, labels: pairs('--label', flags.label) },
    driver: flags.driver,
    internal: flags.internal ?? false,
    attachable: flags.attachable ?? false,
    ingress: flags.ingress ?? false,
    ipv6: flags.ipv6 ?? false,
    encrypted: encrypted !== undefined && encrypted !== 'false',
    mtu: mtuText === undefined ? 0 : wholeNumber('--opt mtu', mtuText, 576),
    driverOptions,
    ipam: ipamOf(flags),
  }
}

function ipamOf(flags: NetworkFlags): NonNullable<NetworkSpecInit['ipam']> {
  const subnets = flags.subnet ?? []
  const gateways = flags.gateway ?? []
  const ranges = flags.ipRange ?? []
  if (gateways.length > subnets.length) throw usage('every --gateway needs a --subnet')
  if (ranges.length > subnets.length) throw usage('every --ip-range needs a --subnet')
  const reserved = pairs('--aux-address', flags.auxAddress)
  if (Object.keys(reserved).length > 0 && subnets.length === 0) {
    throw usage('--aux-address needs a --subnet')
  }
  return subnets.map((subnet, index) => ({
    subnet,
    gateway: gateways[index] ?? '',
    range: ranges[index] ?? '',
    reserved: index === 0 ? reserved : {},
  }))
}
