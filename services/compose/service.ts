import type { ServiceSpecInit } from '../../proto/index.ts'
import { readContainer } from './container.ts'
import { readDeploy } from './deploy.ts'
import { readReferences } from './files.ts'
import { readMounts, readVolumeExtras } from './mounts.ts'
import { readAddresses, readAttachments } from './networks.ts'
import { readPorts } from './ports.ts'
import { type Reader, type Refusals } from './reader.ts'
import { type Context, IMAGE_LABEL, STACK_LABEL } from './stack.ts'

const KEYS =
  'image command entrypoint environment env_file ports volumes networks configs secrets healthcheck labels hostname domainname user group_add working_dir init cap_add cap_drop sysctls ulimits privileged devices tmpfs read_only stop_signal stop_grace_period dns dns_search dns_opt extra_hosts logging tty stdin_open shm_size pid ipc userns_mode cgroup_parent security_opt runtime isolation platform pull_policy network_mode oom_score_adj expose depends_on container_name links restart scale deploy'.split(
    ' ',
  )
const REFUSED: Refusals = {
  build: 'images must be built first: build and push the image, then name it with image:',
  extends: 'is not followed; write the service out, or use an anchor',
  volumes_from: 'name the volumes under volumes: of each service',
  volume_driver: 'give the driver under the top-level volumes:',
  external_links: 'put both services on one network and use their names',
  mac_address: 'MAC addresses are given by the cluster',
  net: 'is version 1; use networks: or network_mode:',
  log_driver: 'is version 1; use logging.driver',
  log_opt: 'is version 1; use logging.options',
  dockerfile: 'is version 1; images must be built first',
  mem_limit: 'is version 2; use deploy.resources.limits.memory',
  memswap_limit: 'is version 2; use deploy.resources.limits.memory',
  mem_reservation: 'is version 2; use deploy.resources.reservations.memory',
  cpus: 'is version 2; use deploy.resources.limits.cpus',
  cpu_quota: 'is version 2; use deploy.resources.limits.cpus',
  cpu_shares: 'is version 2; use deploy.resources.reservations.cpus',
  cpuset: 'cannot be asked for: nodes differ in their CPUs',
  pids_limit: 'is version 2; use deploy.resources.limits.pids',
  gpus: 'use deploy.resources.reservations.devices',
  profiles: 'are not offered; put the service into a file of its own',
  develop: 'is for building on one machine; remove it',
  credential_spec: 'is for Windows containers',
  annotations: 'cannot be honoured; use labels',
}

/** One entry of `services:` as a spec, complete but for Skein's defaults. */
export function readService(name: string, service: Reader, context: Context): ServiceSpecInit {
  service.only(KEYS, REFUSED)
  warnOfIgnored(service)
  if (service.get('image') === undefined)
    service.fail(`invalid image reference for service ${name}: no image specified`)
  const extra = readExtra(service)
  const deploy = readDeploy(service.get('deploy'), service)
  const container = readContainer(service, context)
  const replicas =
    deploy.spec.replicated?.replicas ?? deploy.spec.replicatedJob?.totalCompletions ?? undefined
  const addresses = readAddresses(extra?.get('addresses'))
  const logging = service.get('logging')?.only(['driver', 'options'])
  const { pidsLimit, deviceRequests } = deploy
  return {
    ...deploy.spec,
    annotations: {
      name: `${context.stack}_${name}`,
      labels: {
        ...deploy.labels,
        [STACK_LABEL]: context.stack,
        [IMAGE_LABEL]: container.image,
      },
    },
    endpoint: { ...deploy.spec.endpoint, ports: portsOf(service) },
    task: {
      ...deploy.task,
      ...(logging === undefined
        ? {}
        : {
            logDriver: {
              name: logging.get('driver')?.text() ?? '',
              options: logging.get('options')?.texts() ?? {},
            },
          }),
      networks: readAttachments(name, service, addresses, replicas, context),
      container: {
        ...container,
        ...readReferences(service, context),
        labels: { ...container.labels, [STACK_LABEL]: context.stack },
        mounts: readMounts(
          service.get('volumes'),
          service.get('tmpfs'),
          readVolumeExtras(extra?.get('volumes')),
          context,
        ),
        deviceRequests,
        ...(pidsLimit === undefined ? {} : { pidsLimit }),
      },
    },
  }
}

function portsOf(service: Reader): ReturnType<typeof readPorts> {
  const ports = service.get('ports')
  return ports === undefined ? [] : readPorts(ports)
}

/** What Skein adds to a service: fixed addresses and volumes by slot. */
function readExtra(service: Reader): Reader | undefined {
  const extra = service.get('x-skein')?.only(['addresses', 'volumes'])
  const volumes = service.get('volumes')
  for (const [key, value] of extra?.get('volumes')?.entries() ?? []) {
    const used = volumes
      ?.items()
      .some(item =>
        item.isMap ? item.get('source')?.text() === key : item.text().startsWith(`${key}:`),
      )
    if (used !== true) value.fail(`the service does not mount volume "${key}"`)
  }
  return extra
}

function warnOfIgnored(service: Reader): void {
  service
    .get('depends_on')
    ?.warn(
      'start order is not kept in a cluster; let services wait for each other, or fail and be restarted',
    )
  service.get('container_name')?.warn('is ignored: each task has a name of its own')
  for (const link of service.get('links')?.items() ?? []) {
    const [target, alias = target] = link.text().split(':')
    if (alias !== target)
      link.fail(
        `the alias of a link is lost; give service "${target}" the alias "${alias}" on a network`,
      )
    link.warn('is not needed: services on one network reach each other by name')
  }
}
