import type { Network } from '../../proto/index.ts'
import { type Json, omitEmpty, timestamp } from './inspect-meta.ts'

/** A network in Docker's layout (docker API 2.4: `Id`, not `ID`). `VNI`, `Gateways` and `BlockedBy` are ours. */
export function networkObject(network: Network): Json {
  const { spec } = network
  const declared = spec?.ipam ?? []
  const ipam =
    declared.length > 0
      ? declared
      : [{ subnet: network.subnet, gateway: network.gateway, range: '', reserved: {} }]
  return {
    Name: spec?.annotations?.name ?? '',
    Id: network.id,
    Created: timestamp(network.meta?.createdAtMs ?? 0),
    Scope: 'swarm',
    Driver: driverOf(network),
    EnableIPv4: true,
    EnableIPv6: spec?.ipv6 ?? false,
    IPAM: {
      Driver: 'default',
      Options: null,
      Config: ipam.map(config => ({
        Subnet: config.subnet || network.subnet,
        ...omitEmpty({
          Gateway: config.gateway || network.gateway,
          IPRange: config.range,
          AuxiliaryAddresses: config.reserved,
        }),
      })),
    },
    Internal: spec?.internal ?? false,
    Attachable: spec?.attachable ?? false,
    Ingress: spec?.ingress ?? false,
    ConfigFrom: { Network: '' },
    ConfigOnly: false,
    Containers: null,
    Options: {
      ...spec?.driverOptions,
      ...(spec?.encrypted === true ? { encrypted: '' } : {}),
    },
    Labels: spec?.annotations?.labels ?? {},
    ...omitEmpty({
      VNI: network.vni,
      Gateways: network.gateways.map(gateway => ({
        NodeID: gateway.nodeId,
        Address: gateway.address,
      })),
      BlockedBy: network.blockedBy,
    }),
  }
}

export function driverOf(network: Network): string {
  return network.spec?.driver || 'overlay'
}
