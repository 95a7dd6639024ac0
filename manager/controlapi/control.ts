import type { HandlersOf } from '../../proto/service.ts'
import { StatusError } from '../../runtime/errors.ts'
import { getCluster, getJoinTokens, updateCluster } from './cluster.ts'
import { createConfig, getConfig, listConfigs, removeConfig, updateConfig } from './config.ts'
import { Lanes } from '../state/store/lanes.ts'
import type { ControlDeps } from './deps.ts'
import { getManagerStatus } from './manager-status.ts'
import { createNetwork, getNetwork, listNetworks, removeNetwork } from './network.ts'
import { getNode, leaveCluster, listNodes, removeNode, updateNode } from './node.ts'
import { createSecret, getSecret, listSecrets, removeSecret, updateSecret } from './secret.ts'
import { createService, getService, listServices, removeService, updateService } from './service.ts'
import { explainTask, getTask, listTasks } from './task.ts'
import { listVolumes, removeVolume } from './volume.ts'
import { watch } from './watch.ts'

/**
 * The handlers of service Control. Calls go to the leader: on a follower LeaderProxy.wrap() passes all but
 * ANSWERED_HERE on.
 */
export function controlHandlers(deps: ControlDeps): HandlersOf<'Control'> {
  const lanes = new Lanes()
  /**
   * One after another: these look at objects other than those they write (whose port is it, who still uses this network),
   * and the store notices only writes of the same object.
   */
  const inTurn = async <T>(work: () => Promise<T>): Promise<T> => {
    const leave = await lanes.enter('references')
    try {
      return await work()
    } finally {
      leave()
    }
  }
  /** Not from a state that a deposed leader holds. */
  const read = async <T>(work: () => Promise<T>): Promise<T> => {
    await deps.current?.()
    return work()
  }
  return {
    getCluster: () => read(() => getCluster(deps)),
    updateCluster: (request, caller) => updateCluster(deps, request, caller.nodeId),
    getJoinTokens: () => read(() => getJoinTokens(deps)),

    getNode: (request, caller) => read(() => getNode(deps, request, caller)),
    listNodes: (_request, caller) => read(() => listNodes(deps, caller)),
    updateNode: (request, caller) => updateNode(deps, request, caller),
    removeNode: (request, caller) => removeNode(deps, request, caller),
    leaveCluster: (request, caller) => leaveCluster(deps, request, caller),

    createService: (request, caller) => inTurn(() => createService(deps, request, caller.nodeId)),
    getService: request => read(() => getService(deps, request)),
    listServices: () => read(() => listServices(deps)),
    updateService: (request, caller) => inTurn(() => updateService(deps, request, caller.nodeId)),
    removeService: (request, caller) => removeService(deps, request, caller.nodeId),

    getTask: request => read(() => getTask(deps, request)),
    listTasks: (request, caller) =>
      read(() => listTasks(deps, request, caller.nodeId || deps.nodeId())),
    explainTask: request => read(() => explainTask(deps, request)),

    createNetwork: (request, caller) => createNetwork(deps, request, caller.nodeId),
    getNetwork: request => read(() => getNetwork(deps, request)),
    listNetworks: () => read(() => listNetworks(deps)),
    removeNetwork: (request, caller) => inTurn(() => removeNetwork(deps, request, caller.nodeId)),

    createSecret: (request, caller) => createSecret(deps, request, caller.nodeId),
    getSecret: request => read(() => getSecret(deps, request)),
    listSecrets: () => read(() => listSecrets(deps)),
    updateSecret: (request, caller) => updateSecret(deps, request, caller.nodeId),
    removeSecret: (request, caller) => inTurn(() => removeSecret(deps, request, caller.nodeId)),

    createConfig: (request, caller) => createConfig(deps, request, caller.nodeId),
    getConfig: request => read(() => getConfig(deps, request)),
    listConfigs: () => read(() => listConfigs(deps)),
    updateConfig: (request, caller) => updateConfig(deps, request, caller.nodeId),
    removeConfig: (request, caller) => inTurn(() => removeConfig(deps, request, caller.nodeId)),

    listVolumes: () => read(() => listVolumes(deps)),
    removeVolume: (request, caller) => removeVolume(deps, request, caller.nodeId),

    createContainer: refuseContainers,
    getContainer: refuseContainers,
    listContainers: refuseContainers,
    updateContainer: refuseContainers,
    removeContainer: refuseContainers,

    watch: (request, outlet) => watch(deps, request, outlet),
    getManagerStatus: request => getManagerStatus(deps, request),
  }
}

/** Methods every manager answers for itself, from its own replica. */
export const ANSWERED_HERE = [
  'getManagerStatus',
  'watch',
] as const satisfies readonly (keyof HandlersOf<'Control'>)[]

async function refuseContainers(): Promise<never> {
  throw new StatusError(
    'Unimplemented',
    'this version runs services, and no single containers on the cluster; use: skein service create',
  )
}
