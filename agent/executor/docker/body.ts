// The part of the engine's POST /containers/create that Skein writes (moby api/swagger.yaml, ContainerCreate).

export interface CreateBody {
  readonly Image: string
  readonly Entrypoint?: readonly string[]
  readonly Cmd?: readonly string[]
  readonly Env?: readonly string[]
  readonly Labels: Readonly<Record<string, string>>
  readonly Hostname?: string
  readonly Domainname?: string
  readonly User?: string
  readonly WorkingDir?: string
  readonly Tty?: boolean
  readonly OpenStdin?: boolean
  readonly StopSignal?: string
  readonly StopTimeout?: number
  readonly ExposedPorts?: Readonly<Record<string, object>>
  readonly Healthcheck?: HealthBody
  readonly HostConfig: HostBody
  readonly NetworkingConfig?: { readonly EndpointsConfig: Readonly<Record<string, EndpointBody>> }
}

export interface HealthBody {
  readonly Test?: readonly string[]
  readonly Interval?: number
  readonly Timeout?: number
  readonly StartPeriod?: number
  readonly StartInterval?: number
  readonly Retries?: number
}

export interface HostBody {
  readonly RestartPolicy: { readonly Name: 'no' }
  readonly NetworkMode?: string
  readonly PortBindings?: Readonly<Record<string, readonly PortBody[]>>
  readonly Mounts?: readonly MountBody[]
  readonly NanoCpus?: number
  readonly Memory?: number
  readonly MemoryReservation?: number
  readonly MemorySwap?: number
  readonly MemorySwappiness?: number
  readonly PidsLimit?: number
  readonly OomScoreAdj?: number
  readonly Ulimits?: readonly {
    readonly Name: string
    readonly Soft: number
    readonly Hard: number
  }[]
  readonly Sysctls?: Readonly<Record<string, string>>
  readonly CapAdd?: readonly string[]
  readonly CapDrop?: readonly string[]
  readonly Privileged?: boolean
  readonly Devices?: readonly {
    readonly PathOnHost: string
    readonly PathInContainer: string
    readonly CgroupPermissions: string
  }[]
  readonly DeviceRequests?: readonly {
    readonly Driver: string
    readonly Count: number
    readonly DeviceIDs: readonly string[] | null
    readonly Capabilities: readonly (readonly string[])[]
    readonly Options: Readonly<Record<string, string>>
  }[]
  readonly ExtraHosts?: readonly string[]
  readonly Dns?: readonly string[]
  readonly DnsSearch?: readonly string[]
  readonly DnsOptions?: readonly string[]
  readonly LogConfig?: { readonly Type: string; readonly Config: Readonly<Record<string, string>> }
  readonly ShmSize?: number
  readonly SecurityOpt?: readonly string[]
  readonly PidMode?: string
  readonly IpcMode?: string
  readonly UsernsMode?: string
  readonly CgroupParent?: string
  readonly Runtime?: string
  readonly Isolation?: string
  readonly Init?: boolean
  readonly GroupAdd?: readonly string[]
  readonly ReadonlyRootfs?: boolean
}

export interface PortBody {
  readonly HostIp: string
  readonly HostPort: string
}

export interface MountBody {
  readonly Type: 'bind' | 'volume' | 'tmpfs'
  readonly Source?: string
  readonly Target: string
  readonly ReadOnly?: boolean
  readonly Consistency?: string
  readonly BindOptions?: {
    readonly Propagation?: string
    readonly NonRecursive?: boolean
    readonly CreateMountpoint?: boolean
  }
  readonly VolumeOptions?: {
    readonly NoCopy?: boolean
    readonly Labels?: Readonly<Record<string, string>>
    readonly DriverConfig?: {
      readonly Name?: string
      readonly Options?: Readonly<Record<string, string>>
    }
    readonly Subpath?: string
  }
  readonly TmpfsOptions?: { readonly SizeBytes?: number; readonly Mode?: number }
}

export interface EndpointBody {
  readonly IPAMConfig?: { readonly IPv4Address: string }
  readonly MacAddress?: string
  readonly GwPriority?: number
}

/** Body of POST /networks/{id}/connect. */
export interface ConnectBody {
  readonly Container: string
  readonly EndpointConfig: EndpointBody
}

/** Body of POST /volumes/create. */
export interface VolumeBody {
  readonly Name: string
  readonly Driver?: string
  readonly DriverOpts?: Readonly<Record<string, string>>
  readonly Labels?: Readonly<Record<string, string>>
}
