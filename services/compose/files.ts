import type { ConfigSpecInit, ContainerSpecInit, SecretSpecInit } from '../../proto/index.ts'
import { FILE_MODE } from '../spec/defaults.ts'
import { onlyIdentity, readIdentity } from './networks.ts'
import { readNamedFile } from './path.ts'
import type { Reader } from './reader.ts'
import { type ComposeOptions, type Context, type Declared, STACK_LABEL } from './stack.ts'

// Secrets and configs (rows ST-36, ST-37): top level, and the references of services.

const KEYS = 'file content environment external name labels template_driver'.split(' ')

/** Top-level `configs:`. */
export function readConfigs(
  reader: Reader | undefined,
  stack: string,
  options: ComposeOptions,
): ReadonlyMap<string, Declared<ConfigSpecInit>> {
  return readPayloads(reader, stack, options, KEYS)
}

/** Top-level `secrets:`. A secret is never written in the file itself. */
export function readSecrets(
  reader: Reader | undefined,
  stack: string,
  options: ComposeOptions,
): ReadonlyMap<string, Declared<SecretSpecInit>> {
  const drivers = new Map<string, Reader>()
  for (const [key, value] of reader?.entries() ?? []) {
    if (value.has('content'))
      value
        .get('content')
        ?.fail('a secret must not stand in the file; use file, environment or external')
    const driver = value.get('driver')
    if (driver !== undefined) drivers.set(key, value)
  }
  const payloads = readPayloads(reader, stack, options, [...KEYS, 'driver', 'driver_opts'])
  return new Map(
    [...payloads].map(([key, declared]) => {
      const driver = drivers.get(key)
      if (declared.external || driver === undefined) return [key, declared]
      const name = driver.get('driver')?.text() ?? ''
      const driverOptions = driver.get('driver_opts')?.texts() ?? {}
      return [
        key,
        { ...declared, spec: { ...declared.spec, driver: { name, options: driverOptions } } },
      ]
    }),
  )
}

function readPayloads(
  reader: Reader | undefined,
  stack: string,
  options: ComposeOptions,
  keys: readonly string[],
): ReadonlyMap<string, Declared<ConfigSpecInit>> {
  const out = new Map<string, Declared<ConfigSpecInit>>()
  for (const [key, value] of reader?.entries() ?? []) {
    value.only(keys)
    const { name, external } = readIdentity(key, value, stack)
    if (external) {
      onlyIdentity(value)
      out.set(key, { name, external })
      continue
    }
    const templating = value.get('template_driver')?.choice({ golang: 'golang' })
    const labels = { ...value.get('labels')?.texts(), [STACK_LABEL]: stack }
    const spec: ConfigSpecInit = {
      annotations: { name, labels },
      data: readData(value, options),
      ...(templating === undefined ? {} : { templating: { name: templating } }),
    }
    out.set(key, { name, external, spec })
  }
  return out
}

function readData(reader: Reader, options: ComposeOptions): Uint8Array {
  const file = reader.get('file')
  const content = reader.get('content')
  const variable = reader.get('environment')
  const given = [file, content, variable].filter(source => source !== undefined)
  const byDriver = reader.get('driver') !== undefined
  if (given.length === 0 && byDriver) return new Uint8Array()
  if (given.length !== 1 || byDriver)
    return reader.fail('exactly one of file, content, environment or external must be given')
  if (file !== undefined) return readNamedFile(file.text(), options, file)
  if (content !== undefined) return new TextEncoder().encode(content.text())
  const name = variable?.text() ?? ''
  const value = Object.hasOwn(options.env, name) ? options.env[name] : undefined
  if (value === undefined) return reader.fail(`environment variable "${name}" is not set`)
  return new TextEncoder().encode(value)
}

interface FileReference {
  readonly name: string
  readonly file: {
    readonly name: string
    readonly uid: string
    readonly gid: string
    readonly mode: number
  }
}

/** `secrets:` and `configs:` of a service, sorted by name (row ST-37). */
export function readReferences(
  service: Reader,
  context: Context,
): Pick<ContainerSpecInit, 'secrets' | 'configs'> {
  const secrets = references('secret', service.get('secrets'), context.secrets)
  const configs = references('config', service.get('configs'), context.configs)
  return {
    secrets: secrets.map(({ name, file }) => ({ secretName: name, file })),
    configs: configs.map(({ name, file }) => ({ configName: name, file })),
  }
}

function references(
  kind: 'secret' | 'config',
  reader: Reader | undefined,
  declared: ReadonlyMap<string, Declared<unknown>>,
): readonly FileReference[] {
  const out = (reader?.items() ?? []).map(item => {
    if (item.isMap) item.only(['source', 'target', 'uid', 'gid', 'mode'])
    const source = item.isMap ? item.get('source') : item
    const key = source?.text() ?? item.fail('source must be given')
    const object = declared.get(key)
    if (object === undefined)
      return item.fail(`${kind} "${key}" is not declared under the top-level ${kind}s:`)
    const field = (name: string): Reader | undefined => (item.isMap ? item.get(name) : undefined)
    return {
      name: object.name,
      file: {
        name: field('target')?.text() ?? key,
        uid: field('uid')?.text() ?? '0',
        gid: field('gid')?.text() ?? '0',
        mode: field('mode')?.fileMode() ?? FILE_MODE,
      },
    }
  })
  const order = (reference: FileReference): string => `${reference.name}\0${reference.file.name}`
  return out.toSorted((a, b) => (order(a) < order(b) ? -1 : 1))
}
