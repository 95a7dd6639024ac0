// The public types of the wire: `import { TaskState, v1, type Task } from '../proto/index.ts'`.
import { skein } from './gen/messages.js'
import type { InitOf, PlainOf } from './codec.ts'

/** The generated classes, for codec(), make(), clientFor() and serviceDefinition(). */
export const v1 = skein.v1

export const {
  TaskState,
  NodeRole,
  NodeAvailability,
  NodeState,
  Reachability,
  PortProtocol,
  PublishMode,
  UpdateState,
  RestartCondition,
  UpdateFailureAction,
  UpdateOrder,
  EndpointMode,
  MountType,
  VolumeLocality,
  ActionKind,
  EndpointState,
} = skein.v1
export type TaskState = skein.v1.TaskState
export type NodeRole = skein.v1.NodeRole
export type NodeAvailability = skein.v1.NodeAvailability
export type NodeState = skein.v1.NodeState
export type Reachability = skein.v1.Reachability
export type PortProtocol = skein.v1.PortProtocol
export type PublishMode = skein.v1.PublishMode
export type UpdateState = skein.v1.UpdateState
export type RestartCondition = skein.v1.RestartCondition
export type UpdateFailureAction = skein.v1.UpdateFailureAction
export type UpdateOrder = skein.v1.UpdateOrder
export type EndpointMode = skein.v1.EndpointMode
export type MountType = skein.v1.MountType
export type VolumeLocality = skein.v1.VolumeLocality
export type ActionKind = skein.v1.ActionKind
export type EndpointState = skein.v1.EndpointState

type V1 = typeof skein.v1
export type Meta = PlainOf<V1['Meta']>
export type Platform = PlainOf<V1['Platform']>
export type Resources = PlainOf<V1['Resources']>
export type GenericResource = PlainOf<V1['GenericResource']>
export type EngineDescription = PlainOf<V1['EngineDescription']>
export type NodeDescription = PlainOf<V1['NodeDescription']>
export type NodeStatus = PlainOf<V1['NodeStatus']>
export type ManagerStatus = PlainOf<V1['ManagerStatus']>
export type Port = PlainOf<V1['Port']>
export type ContainerStatus = PlainOf<V1['ContainerStatus']>
export type TaskStatus = PlainOf<V1['TaskStatus']>
export type UpdateStatus = PlainOf<V1['UpdateStatus']>
export type Explanation = PlainOf<V1['Explanation']>
export type NodeVerdict = PlainOf<V1['NodeVerdict']>
export type FilterVerdict = PlainOf<V1['FilterVerdict']>
export type Annotations = PlainOf<V1['Annotations']>
export type ClusterSpec = PlainOf<V1['ClusterSpec']>
export type NodeSpec = PlainOf<V1['NodeSpec']>
export type ServiceSpec = PlainOf<V1['ServiceSpec']>
export type TaskSpec = PlainOf<V1['TaskSpec']>
export type ResourceRequirements = PlainOf<V1['ResourceRequirements']>
export type RestartPolicy = PlainOf<V1['RestartPolicy']>
export type Placement = PlainOf<V1['Placement']>
export type NetworkAttachmentSpec = PlainOf<V1['NetworkAttachmentSpec']>
export type UpdateConfig = PlainOf<V1['UpdateConfig']>
export type EndpointSpec = PlainOf<V1['EndpointSpec']>
export type LogDriver = PlainOf<V1['LogDriver']>
export type ContainerSpec = PlainOf<V1['ContainerSpec']>
export type Mount = PlainOf<V1['Mount']>
export type SecretReference = PlainOf<V1['SecretReference']>
export type ConfigReference = PlainOf<V1['ConfigReference']>
export type Healthcheck = PlainOf<V1['Healthcheck']>
export type NetworkSpec = PlainOf<V1['NetworkSpec']>
export type IpamConfig = PlainOf<V1['IpamConfig']>
export type SecretSpec = PlainOf<V1['SecretSpec']>
export type ConfigSpec = PlainOf<V1['ConfigSpec']>
export type VolumeSpec = PlainOf<V1['VolumeSpec']>
export type ContainerWorkloadSpec = PlainOf<V1['ContainerWorkloadSpec']>
export type Cluster = PlainOf<V1['Cluster']>
export type RootCa = PlainOf<V1['RootCa']>
export type Node = PlainOf<V1['Node']>
export type Service = PlainOf<V1['Service']>
export type Endpoint = PlainOf<V1['Endpoint']>
export type VirtualIp = PlainOf<V1['VirtualIp']>
export type NetworkAttachment = PlainOf<V1['NetworkAttachment']>
export type Task = PlainOf<V1['Task']>
export type Network = PlainOf<V1['Network']>
export type NodeGateway = PlainOf<V1['NodeGateway']>
export type Secret = PlainOf<V1['Secret']>
export type Config = PlainOf<V1['Config']>
export type Volume = PlainOf<V1['Volume']>
export type VolumeCopy = PlainOf<V1['VolumeCopy']>
export type ContainerWorkload = PlainOf<V1['ContainerWorkload']>
export type StoreAction = PlainOf<V1['StoreAction']>
export type StoreTransaction = PlainOf<V1['StoreTransaction']>
export type StoreSnapshot = PlainOf<V1['StoreSnapshot']>
export type AgentMessage = PlainOf<V1['AgentMessage']>
export type ManagerMessage = PlainOf<V1['ManagerMessage']>
export type Assignments = PlainOf<V1['Assignments']>
export type NetworkTable = PlainOf<V1['NetworkTable']>
export type EndpointEntry = PlainOf<V1['EndpointEntry']>
export type EndpointChange = PlainOf<V1['EndpointChange']>
export type ServiceEntry = PlainOf<V1['ServiceEntry']>
export type NodePeer = PlainOf<V1['NodePeer']>
export type TaskReport = PlainOf<V1['TaskReport']>
export type StreamRequest = PlainOf<V1['StreamRequest']>
export type StreamFrame = PlainOf<V1['StreamFrame']>
export type LogsQuery = PlainOf<V1['LogsQuery']>
export type LogEntry = PlainOf<V1['LogEntry']>
export type EngineCall = PlainOf<V1['EngineCall']>
export type WatchMessage = PlainOf<V1['WatchMessage']>
export type WatchEvent = PlainOf<V1['WatchEvent']>
export type ManagerFacts = PlainOf<V1['ManagerFacts']>
export type ManagerReport = PlainOf<V1['ManagerReport']>
export type LocalInfoResponse = PlainOf<V1['LocalInfoResponse']>

export type ServiceSpecInit = InitOf<V1['ServiceSpec']>
export type TaskSpecInit = InitOf<V1['TaskSpec']>
export type ContainerSpecInit = InitOf<V1['ContainerSpec']>
export type NetworkSpecInit = InitOf<V1['NetworkSpec']>
export type NodeSpecInit = InitOf<V1['NodeSpec']>
export type ClusterSpecInit = InitOf<V1['ClusterSpec']>
export type SecretSpecInit = InitOf<V1['SecretSpec']>
export type ConfigSpecInit = InitOf<V1['ConfigSpec']>
export type MountInit = InitOf<V1['Mount']>
