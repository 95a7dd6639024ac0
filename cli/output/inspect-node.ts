import type { GenericResource, Node, Resources } from '../../proto/index.ts'
import { availabilityName, nodeStateName, reachabilityName, roleName } from '../model/words.ts'
import { type Json, metaOf, omitEmpty } from './inspect-meta.ts'

/** A node in Docker's layout (docker API 2.1). The observed `Role`, `SkeinVersion` and `UnderlayMTU` are ours. */
export function nodeObject(node: Node): Json {
  const { spec, description, status, manager } = node
  return {
    ID: node.id,
    ...metaOf(node.meta),
    Spec: {
      ...omitEmpty({ Name: spec?.annotations?.name }),
      Labels: spec?.annotations?.labels ?? {},
      Role: roleName(spec?.role ?? node.role),
      Availability: availabilityName(spec?.availability ?? 0),
    },
    Role: roleName(node.role),
    Description: {
      Hostname: description?.hostname ?? '',
      Platform: {
        Architecture: description?.platform?.architecture ?? '',
        OS: description?.platform?.os ?? '',
      },
      Resources: resourcesObject(description?.resources ?? null),
      Engine: {
        EngineVersion: description?.engine?.version ?? '',
        ...omitEmpty({
          Labels: description?.engine?.labels,
          Plugins: description?.engine?.plugins.map(plugin => ({
            Type: plugin.type,
            Name: plugin.name,
          })),
        }),
      },
      SkeinVersion: description?.skeinVersion ?? '',
      UnderlayMTU: description?.underlayMtu ?? 0,
    },
    Status: {
      State: nodeStateName(status?.state ?? 0),
      ...omitEmpty({ Message: status?.message }),
      Addr: status?.address ?? '',
    },
    ...(manager === null
      ? {}
      : {
          ManagerStatus: {
            ...omitEmpty({ Leader: manager.leader }),
            Reachability: reachabilityName(manager.reachability),
            Addr: manager.address,
          },
        }),
  }
}

export function resourcesObject(resources: Resources | null): Json {
  return omitEmpty({
    NanoCPUs: resources?.nanoCpus,
    MemoryBytes: resources?.memoryBytes,
    GenericResources: resources?.generic.flatMap(genericObjects),
  })
}

function genericObjects(resource: GenericResource): readonly Json[] {
  if (resource.names.length === 0) {
    return [{ DiscreteResourceSpec: { Kind: resource.kind, Value: resource.count } }]
  }
  return resource.names.map(name => ({
    NamedResourceSpec: { Kind: resource.kind, Value: name },
  }))
}
