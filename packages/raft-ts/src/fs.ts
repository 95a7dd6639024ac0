/** The disk as Raft needs it. Paths are joined with `/`. Everything may reject; a rejected `sync` is the end of the process. */
export interface RaftFs {
  /** Creates the directory and its parents; no error when it exists. */
  mkdir(path: string): Promise<void>
  /** Names, in any order; rejects when the directory does not exist. */
  readdir(path: string): Promise<string[]>
  readFile(path: string): Promise<Uint8Array>
  /** Atomic; replaces `to`. */
  rename(from: string, to: string): Promise<void>
  remove(path: string): Promise<void>
  /** Makes creations, renames and removals in the directory durable. */
  syncDir(path: string): Promise<void>
  /** `create` empties an existing file, `append` keeps it; both create a missing one. */
  open(path: string, mode: 'append' | 'create'): Promise<RaftFile>
  truncate(path: string, size: number): Promise<void>
}

export interface RaftFile {
  /** Writes all of `data` at the end. */
  write(data: Uint8Array): Promise<void>
  /** Resolves when everything written is durable. */
  sync(): Promise<void>
  close(): Promise<void>
}

/** Protects records at rest. `open` must reject or throw on bytes `seal` did not make. */
export interface Encryption {
  seal(plain: Uint8Array): Uint8Array
  open(sealed: Uint8Array): Uint8Array
}
