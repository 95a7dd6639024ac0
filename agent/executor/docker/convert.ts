// A task's specification as the engine's create body (Swarm rows EX-01, EX-02, EX-17, PL-25). Pure; fields the user
// left out stay out, so that the image's and the engine's defaults hold.
import type { ContainerSpec, GenericResource, Healthcheck, Task } from '../../../proto/index.ts'
import { StatusError } from '../../../runtime/errors.ts'
import type { EngineAttachment, TaskNetworking } from '../../network/types.ts'
import type { ConnectBody, CreateBody, EndpointBody, HealthBody, MountBody } from './body.ts'
import { hostBody } from './convert-host.ts'
import { containerLabels } from './labels.ts'
import { exposedPorts } from './ports.ts'

/** From this API version on, create takes every network at once. */
const ALL_NETWORKS_API = '1.44'
const GATEWAY_PRIORITY_API = '1.48'
const NS_PER_MS = 1_000_000
/** Seconds, where the specification says nothing. */
const STOP_GRACE_MS = 10_000

/** A file of the agent's that the container sees read-only. */
export interface FileMount {
  readonly source: string
  readonly target: string
}

export interface Surroundings {
  readonly clusterId: string
  readonly networking: TaskNetworking
  /** Secrets, configs, resolv.conf. */
  readonly files: readonly FileMount[]
  /** The engine's, e.g. `1.51`. */
  readonly apiVersion: string
}

/**
 * The create body of a task whose templates are expanded.
 *
 * @throws StatusError InvalidArgument naming the field the engine could not honour
 */
export function createBody(task: Task, around: Surroundings): CreateBody {
  const spec = containerSpec(task)
  const exposed = exposedPorts(task)
  const endpoints = endpointsConfig(around)
  const env = [...spec.env, ...genericEnv(task.assignedGeneric?.generic ?? [])]
  return {
    Image: spec.image,
    Labels: containerLabels(task, around.clusterId),
    StopTimeout: stopTimeoutSeconds(spec),
    ...(spec.command.length > 0 && { Entrypoint: spec.command }),
    ...(spec.args.length > 0 && { Cmd: spec.args }),
    ...(env.length > 0 && { Env: env }),
    ...(spec.hostname && { Hostname: spec.hostname }),
    ...(spec.domainname && { Domainname: spec.domainname }),
    ...(spec.user && { User: spec.user }),
    ...(spec.dir && { WorkingDir: spec.dir }),
    ...(spec.tty && { Tty: true }),
    ...(spec.openStdin && { OpenStdin: true }),
    ...(spec.stopSignal && { StopSignal: spec.stopSignal }),
    ...(spec.healthcheck && { Healthcheck: healthBody(spec.healthcheck) }),
    ...(Object.keys(exposed).length > 0 && { ExposedPorts: exposed }),
    HostConfig: hostBody(task, spec, around.networking, around.files.map(fileMount)),
    ...(endpoints && { NetworkingConfig: { EndpointsConfig: endpoints } }),
  }
}

/** What is left to connect after create: all networks but the first where the engine takes only one (overlay.md 4.3). */
export function connectBodies(
  containerId: string,
  around: Pick<Surroundings, 'networking' | 'apiVersion'>,
): readonly { readonly network: string; readonly body: ConnectBody }[] {
  if (atLeast(around.apiVersion, ALL_NETWORKS_API)) return []
  return around.networking.attachments.slice(1).map(attachment => ({
    network: attachment.engineNetwork,
    body: { Container: containerId, EndpointConfig: endpointBody(attachment) },
  }))
}

/** The container part of a task. @throws StatusError InvalidArgument when it has none */
export function containerSpec(task: Task): ContainerSpec {
  const spec = task.spec?.container
  if (!spec) throw new StatusError('InvalidArgument', `task ${task.id} has no container`)
  return spec
}

/** Whole seconds between stop signal and kill. */
export function stopTimeoutSeconds(spec: ContainerSpec): number {
  return Math.ceil((spec.stopGraceMs ?? STOP_GRACE_MS) / 1_000)
}

/** Whether API version `have` (`1.44`) is `want` or newer. */
export function atLeast(have: string, want: string): boolean {
  const [haveMajor = 0, haveMinor = 0] = have.split('.').map(Number)
  const [wantMajor = 0, wantMinor = 0] = want.split('.').map(Number)
  return haveMajor > wantMajor || (haveMajor === wantMajor && haveMinor >= wantMinor)
}

function endpointsConfig(around: Surroundings): Record<string, EndpointBody> | undefined {
  const { networking, apiVersion } = around
  const all = atLeast(apiVersion, ALL_NETWORKS_API)
  const attachments = all ? networking.attachments : networking.attachments.slice(0, 1)
  if (attachments.length === 0) return undefined
  return Object.fromEntries(
    attachments.map((attachment, index) => [
      attachment.engineNetwork,
      {
        ...endpointBody(attachment),
        // The first network a user names is the way out, whatever the networks are called.
        ...(index === 0 && atLeast(apiVersion, GATEWAY_PRIORITY_API) && { GwPriority: 1 }),
      },
    ]),
  )
}

function endpointBody(attachment: EngineAttachment): EndpointBody {
  return { IPAMConfig: { IPv4Address: attachment.address }, MacAddress: attachment.mac }
}

/** An empty test inherits the image's; zero durations inherit the engine's defaults. */
function healthBody(check: Healthcheck): HealthBody {
  return {
    ...(check.test.length > 0 && { Test: check.test }),
    ...(check.intervalMs > 0 && { Interval: check.intervalMs * NS_PER_MS }),
    ...(check.timeoutMs > 0 && { Timeout: check.timeoutMs * NS_PER_MS }),
    ...(check.startPeriodMs > 0 && { StartPeriod: check.startPeriodMs * NS_PER_MS }),
    ...(check.startIntervalMs > 0 && { StartInterval: check.startIntervalMs * NS_PER_MS }),
    ...(check.retries > 0 && { Retries: check.retries }),
  }
}

/** `DOCKER_RESOURCE_GPU=UUID1,UUID2`, or the count (row PL-25). */
function genericEnv(resources: readonly GenericResource[]): readonly string[] {
  return resources.map(resource => {
    const value = resource.names.length > 0 ? resource.names.join(',') : String(resource.count)
    return `DOCKER_RESOURCE_${resource.kind.toUpperCase()}=${value}`
  })
}

function fileMount(file: FileMount): MountBody {
  return { Type: 'bind', Source: file.source, Target: file.target, ReadOnly: true }
}
