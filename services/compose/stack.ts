import type {
  ConfigSpecInit,
  NetworkSpecInit,
  SecretSpecInit,
  ServiceSpecInit,
} from '../../proto/index.ts'

/** Swarm's label that says which stack an object belongs to (row ST-02). */
export const STACK_LABEL = 'com.docker.stack.namespace'
/** The image as the file names it (row ST-05). */
export const IMAGE_LABEL = 'com.docker.stack.image'

/** Something a file declares or says is there already. `name` is its name in the cluster. */
export type Declared<S> =
  | { readonly name: string; readonly external: true }
  | { readonly name: string; readonly external: false; readonly spec: S }

export interface VolumeDeclaration {
  readonly driver: string
  readonly options: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
}

/** What a compose file asks of the cluster. Maps go by the names within the file. */
export interface Stack {
  readonly name: string
  readonly services: ReadonlyMap<string, ServiceSpecInit>
  /** Those a service uses, `default` included. */
  readonly networks: ReadonlyMap<string, Declared<NetworkSpecInit>>
  readonly secrets: ReadonlyMap<string, Declared<SecretSpecInit>>
  readonly configs: ReadonlyMap<string, Declared<ConfigSpecInit>>
  readonly volumes: ReadonlyMap<string, Declared<VolumeDeclaration>>
  /** `file:line:column: …`: what was accepted though it has no effect here. */
  readonly warnings: readonly string[]
}

export interface ComposeOptions {
  /** Shown in errors. Relative paths start at its directory when it is absolute. */
  readonly fileName: string
  /** What `${VAR}` and environment keys without value take. */
  readonly env: Readonly<Record<string, string | undefined>>
  /** The stack's name; without one the file's own `name:`. */
  readonly projectName?: string
  /** Where relative paths start, absolute; default the directory of an absolute `fileName`. */
  readonly directory?: string
  /** Reads env_file and files of secrets and configs, by absolute path when the directory is known. May throw. */
  readonly readFile?: (path: string) => Uint8Array
}

/** What the parts of the file need to know of the whole. */
export interface Context {
  readonly stack: string
  readonly options: ComposeOptions
  readonly networks: ReadonlyMap<string, Declared<NetworkSpecInit>>
  readonly secrets: ReadonlyMap<string, Declared<SecretSpecInit>>
  readonly configs: ReadonlyMap<string, Declared<ConfigSpecInit>>
  readonly volumes: ReadonlyMap<string, Declared<VolumeDeclaration>>
}
