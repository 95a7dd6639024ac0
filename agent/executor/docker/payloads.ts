import type { Config, Secret, Task } from '../../../proto/index.ts'
import { type PayloadSources, expandPayload } from '../../../services/template/expand.ts'
import { type TaskFile, plainFile, referencedFile } from '../files.ts'
import type { TaskObjects } from '../types.ts'

const SECRETS_DIR = '/run/secrets'

/** Names of the secrets and configs the task refers to and the managers have not sent. */
export function missingObjects(task: Task, objects: TaskObjects): readonly string[] {
  const container = task.spec?.container
  const secrets = (container?.secrets ?? [])
    .filter(({ secretId }) => !objects.secret(secretId))
    .map(({ secretName }) => `secret ${secretName}`)
  const configs = (container?.configs ?? [])
    .filter(({ configId }) => !objects.config(configId))
    .map(({ configName }) => `config ${configName}`)
  return [...secrets, ...configs]
}

/**
 * The task's secrets and configs as files, templates expanded (Swarm rows EX-14, EX-19). What is missing is left out:
 * ask missingObjects() first.
 *
 * @throws StatusError InvalidArgument when a template or an owner is wrong
 */
export function payloadFiles(task: Task, objects: TaskObjects): readonly TaskFile[] {
  const container = task.spec?.container
  const decoder = new TextDecoder()
  const secretData = new Map<string, Secret>()
  const configData = new Map<string, Config>()
  for (const { secretId, secretName, file } of container?.secrets ?? []) {
    const secret = objects.secret(secretId)
    if (secret) secretData.set(file?.name || secretName, secret)
  }
  for (const { configId, configName, file } of container?.configs ?? []) {
    const config = objects.config(configId)
    if (config) configData.set(file?.name || configName, config)
  }
  const sources: PayloadSources = {
    secret: target => text(secretData.get(target)?.spec?.data),
    config: target => text(configData.get(target)?.spec?.data),
  }
  const expand = (name: string, object: Secret | Config): Uint8Array => {
    const data = object.spec?.data ?? new Uint8Array()
    if (object.spec?.templating?.name !== 'golang') return data
    const expanded = expandPayload(name, decoder.decode(data), task, objects.node(), sources)
    return new TextEncoder().encode(expanded)
  }
  return [
    ...(container?.secrets ?? []).flatMap(({ secretId, secretName, file }) => {
      const secret = objects.secret(secretId)
      if (!secret) return []
      return [referencedFile(file, secretName, SECRETS_DIR, expand(`secret ${secretName}`, secret))]
    }),
    ...(container?.configs ?? []).flatMap(({ configId, configName, file }) => {
      const config = objects.config(configId)
      if (!config) return []
      return [referencedFile(file, configName, '/', expand(`config ${configName}`, config))]
    }),
  ]
}

/** The container's resolv.conf: the cluster's, then what the task asks for on top. */
export function resolvFile(task: Task, resolvConf: string): TaskFile {
  const dns = task.spec?.container?.dns
  const lines = [
    resolvConf.trimEnd(),
    ...(dns && dns.search.length > 0 ? [`search ${dns.search.join(' ')}`] : []),
    ...(dns && dns.options.length > 0 ? [`options ${dns.options.join(' ')}`] : []),
  ]
  return plainFile('/etc/resolv.conf', `${lines.join('\n')}\n`)
}

function text(data: Uint8Array | undefined): string | undefined {
  return data && new TextDecoder().decode(data)
}
