import { StatusError } from '../../runtime/errors.ts'
import type { ServiceSpecInit } from '../../proto/index.ts'
import { checkObjectName } from '../model/names.ts'
import { readConfigs, readSecrets } from './files.ts'
import { readNetworks } from './networks.ts'
import { Reader } from './reader.ts'
import { readService } from './service.ts'
import type { ComposeOptions, Context, Stack } from './stack.ts'
import { readTree } from './tree.ts'
import { readVolumes } from './volumes.ts'

const KEYS = ['version', 'name', 'services', 'networks', 'volumes', 'configs', 'secrets']
const SIZE_MAX = 4 * 1024 * 1024

/**
 * Reads a compose file (version 3 or compose-spec) as a stack, by the rules of `docker stack deploy` (section 16 of the
 * Swarm rows), with one difference: a key that would not be honoured is an error that says where and what to do.
 * The specs still lack Skein's defaults: give them to withDefaults() and validateService().
 * @throws StatusError InvalidArgument `file:line:column: path: …`
 */
export function parseCompose(text: string, options: ComposeOptions): Stack {
  if (text.length > SIZE_MAX)
    throw new StatusError('InvalidArgument', `${options.fileName}: larger than ${SIZE_MAX} bytes`)
  const warnings: string[] = []
  const { tree, source } = readTree(text, options.fileName, options.env, warnings)
  const root = new Reader(tree, source, '')
  refuseVersion1(root)
  root.only(KEYS, { include: 'other files are not included; give them all on the command line' })
  const version = root.get('version')
  if (version !== undefined && !/^3(\.\d+)?$/.test(version.text()))
    version.warn(`${version.text()} is read as 3`)
  const stack = stackName(root, options)
  const context: Context = {
    stack,
    options,
    networks: readNetworks(root.get('networks'), stack),
    secrets: readSecrets(root.get('secrets'), stack, options),
    configs: readConfigs(root.get('configs'), stack, options),
    volumes: readVolumes(root.get('volumes'), stack),
  }
  const services = new Map<string, ServiceSpecInit>()
  for (const [name, service] of root.get('services')?.entries() ?? [])
    services.set(name, readService(name, service, context))
  if (services.size === 0) root.fail('the file declares no services')
  const used = new Set(
    [...services.values()].flatMap(spec => (spec.task?.networks ?? []).map(({ target }) => target)),
  )
  return {
    name: stack,
    services,
    networks: new Map([...context.networks].filter(([, { name }]) => used.has(name))),
    secrets: context.secrets,
    configs: context.configs,
    volumes: context.volumes,
    warnings,
  }
}

function stackName(root: Reader, options: ComposeOptions): string {
  const own = root.get('name')
  const name = options.projectName ?? own?.text() ?? ''
  if (name === '') return root.fail('the stack has no name: give one, or write name: in the file')
  if (options.projectName === undefined && own !== undefined)
    own.parsed(text => checkObjectName(text, 'stack'))
  else checkObjectName(name, 'stack')
  return name
}

/** Version 1 had the services at the top level. */
function refuseVersion1(root: Reader): void {
  if (root.has('services') || !root.isMap) return
  for (const [key, value] of root.entries())
    if (value.isMap && (value.has('image') || value.has('build')))
      value.fail(`"${key}" looks like a service of a version 1 file: put it under services:`)
}
