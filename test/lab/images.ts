// Test images without a registry: built from this machine's own programs, loaded into each engine.
// The archive is made here rather than by `docker import`, so that every host gets the same image ids.
import { createHash } from 'node:crypto'
import {
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import tar from 'tar-stream'
import type { Host } from './host.ts'
import { labRoot } from './layout.ts'
import { type RootfsEntry, rootfs } from './rootfs.ts'

interface ImageConfig {
  readonly tag: string
  readonly config: Readonly<Record<string, unknown>>
}

/** Same files in all: tools:2 exists to update to, redis:7 to start a Redis when nothing else is said. */
const IMAGES: readonly ImageConfig[] = [
  { tag: 'skein/tools:1', config: { Env: ['PATH=/bin', 'VERSION=1'], Cmd: ['sh'] } },
  { tag: 'skein/tools:2', config: { Env: ['PATH=/bin', 'VERSION=2'], Cmd: ['sh'] } },
  {
    tag: 'skein/redis:7',
    config: {
      Env: ['PATH=/bin', 'REDIS_VERSION=7'],
      Cmd: ['redis-server'],
      WorkingDir: '/data',
      ExposedPorts: { '6379/tcp': {} },
    },
  },
]

const ARCHIVE_AGE_MS = 10 * 60_000
const CREATED = '2026-01-01T00:00:00Z'
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }

/**
 * Builds the archive of all test images unless one of the same contents is in the cache.
 *
 * @returns the archive's file, for `docker load`
 */
export async function buildImages(log: (line: string) => void): Promise<string> {
  const layer = await packLayer(await rootfs())
  const key = sha256(Buffer.concat([layer, Buffer.from(JSON.stringify(IMAGES))])).slice(0, 16)
  const cache = join(labRoot(), 'cache')
  const file = join(cache, `images-${key}.tar`)
  if (existsSync(file)) return file
  mkdirSync(cache, { recursive: true })
  dropOldArchives(cache)
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, await packArchive(layer))
  renameSync(draft, file)
  log(`built ${IMAGES.map(image => image.tag).join(', ')}`)
  return file
}

/** Archives of contents gone by; a young one may still be on its way into another lab's hosts. */
function dropOldArchives(cache: string): void {
  for (const name of readdirSync(cache)) {
    const file = join(cache, name)
    if (Date.now() - statSync(file).mtimeMs > ARCHIVE_AGE_MS) rmSync(file, { force: true })
  }
}

/** Loads an archive of images into a host's engine. */
export async function loadImages(host: Host, archive: string): Promise<void> {
  await host.docker('load', '--quiet', '--input', archive)
}

async function packLayer(entries: readonly RootfsEntry[]): Promise<Buffer> {
  return pack(
    entries.map(({ path, mode, content, target }): TarFile => {
      const header = { mode, mtime: new Date(CREATED), uid: 0, gid: 0 }
      if (content !== undefined) return [{ ...header, name: path, type: 'file' }, content]
      if (target !== undefined)
        return [{ ...header, name: path, type: 'symlink', linkname: target }]
      return [{ ...header, name: `${path}/`, type: 'directory' }]
    }),
  )
}

/** The format `docker save` writes: a manifest, a configuration per image, the layer they share. */
function packArchive(layer: Buffer): Promise<Buffer> {
  const images = IMAGES.map(image => {
    const config = Buffer.from(JSON.stringify(imageJson(image, sha256(layer))))
    return { tag: image.tag, name: `${sha256(config)}.json`, config }
  })
  const manifest = images.map(({ tag, name }) => ({
    Config: name,
    RepoTags: [tag],
    Layers: ['layer.tar'],
  }))
  const header = { mode: 0o644, mtime: new Date(CREATED), type: 'file' } as const
  return pack([
    [{ ...header, name: 'manifest.json' }, Buffer.from(JSON.stringify(manifest))],
    ...images.map(({ name, config }): TarFile => [{ ...header, name }, config]),
    [{ ...header, name: 'layer.tar' }, layer],
  ])
}

function imageJson({ config }: ImageConfig, layerDigest: string): unknown {
  return {
    architecture: ARCHITECTURES[process.arch] ?? process.arch,
    os: 'linux',
    created: CREATED,
    config,
    rootfs: { type: 'layers', diff_ids: [`sha256:${layerDigest}`] },
    history: [{ created: CREATED, created_by: 'test/lab/images.ts' }],
  }
}

type TarFile = readonly [header: Partial<tar.Header> & { name: string }, content?: Buffer]

async function pack(files: readonly TarFile[]): Promise<Buffer> {
  const out = tar.pack()
  for (const [header, content] of files) out.entry(header, content ?? Buffer.alloc(0))
  out.finalize()
  return buffer(out)
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
