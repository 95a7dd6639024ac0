/** The disk as Raft needs it. Paths are joined with `/`. Everything may reject; a rejected `sync` is the end of the process. */
export interface RaftFs {
  /** Creates the directory and its parents; no error when it exists. */
  mkdir(path: string): Promise<void>
  /** Names, in any order; rejects when the directory does not exist. */
  readdir(path: string): Promise<string[]>
  readFile(path: string): Promise<Uint8Array>
  /** Atomic; replaces `to`. */
  rename(from: string, to: string): Promise<void>
  /** Of a file; no error when there is none. */
  remove(path: string): Promise<void>
  /** Makes creations, renames and removals in the directory durable. */
  syncDir(path: string): Promise<void>
  /** `create` makes an empty file in place of whatever is there; `update` takes one that exists, as it is. */
  open(path: string, mode: 'create' | 'update'): Promise<RaftFile>
  /** Bytes that can still be written to the file system that holds `path`. */
  freeBytes(path: string): Promise<number>
}

export interface RaftFile {
  /** Writes all of `data` at the byte `position`, however many system calls that takes. */
  write(data: Uint8Array, position: number): Promise<void>
  /** Writes zeros over the bytes from `from` up to `to`, so that later writes there need no new blocks of the disk. */
  zero(from: number, to: number): Promise<void>
  /** Resolves when everything written before the call is durable, and the size with it (fdatasync). */
  sync(): Promise<void>
  close(): Promise<void>
}

/** Protects records at rest. `open` must reject or throw on bytes `seal` did not make. */
export interface Encryption {
  seal(plain: Uint8Array): Uint8Array
  open(sealed: Uint8Array): Uint8Array
  /** Names the key that sealed this, so that `RaftNode.keysInUse` can tell which keys are still needed. */
  keyOf?(sealed: Uint8Array): string
}
