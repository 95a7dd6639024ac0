// The files of the test images: this machine's busybox, Redis and curl with the libraries they need.
import { readFileSync, realpathSync } from 'node:fs'
import { basename, dirname } from 'node:path'
import { LabError } from './errors.ts'
import { programPath } from './install.ts'
import { runOk } from './run.ts'

export interface RootfsEntry {
  readonly path: string
  readonly mode: number
  /** A file's bytes; a directory has neither these nor a target. */
  readonly content?: Buffer
  /** A symbolic link's target. */
  readonly target?: string
}

const DIRECTORIES = [
  'bin',
  'etc',
  'usr',
  'usr/bin',
  'proc',
  'sys',
  'dev',
  'root',
  'var',
  'data',
  'www',
]

/**
 * A web server that says which container answered: `/` gives the host name, `/cgi-bin/whoami` also
 * version and the client's address, `/cgi-bin/slow` answers after ?SECONDS. As the first process of a
 * container it must handle SIGTERM itself; it stops listening, then lets answers under way finish.
 */
const WEB = `#!/bin/sh
port=\${1:-80}
trap 'kill $listener; while pidof httpd >/dev/null; do usleep 20000; done; exit 0' TERM INT
hostname > /www/index.html
httpd -f -p "$port" -h /www &
listener=$!
echo "web: listening on port $port as $(hostname)"
wait $listener
`
const WHOAMI = `#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
client=\${REMOTE_ADDR#'[::ffff:'}
echo "host=$(hostname) version=$VERSION client=\${client%]}"
`
const SLOW = `#!/bin/sh
sleep "\${QUERY_STRING:-1}"
printf 'Content-Type: text/plain\\r\\n\\r\\n'
hostname
`

/** Debian's Redis refuses clients from other machines unless told; the official image is built not to. */
const REDIS = `#!/bin/sh
case "$#:$1" in
  1:-v|1:--version|1:-h|1:--help|1:--test-memory) exec /usr/bin/redis-server "$1" ;;
esac
case "$1" in
  ''|-*) exec /usr/bin/redis-server --protected-mode no "$@" ;;
  *) config=$1; shift; exec /usr/bin/redis-server "$config" --protected-mode no "$@" ;;
esac
`

const TEXTS: readonly (readonly [path: string, mode: number, text: string])[] = [
  ['bin/web', 0o755, WEB],
  ['bin/redis-server', 0o755, REDIS],
  ['www/cgi-bin/whoami', 0o755, WHOAMI],
  ['www/cgi-bin/slow', 0o755, SLOW],
  ['etc/passwd', 0o644, 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n'],
  ['etc/group', 0o644, 'root:x:0:\nnogroup:x:65534:\n'],
  ['etc/nsswitch.conf', 0o644, 'passwd: files\ngroup: files\nhosts: files dns\n'],
]

/** All entries, parents first, in an order that depends on their contents alone. */
export async function rootfs(): Promise<readonly RootfsEntry[]> {
  const busybox = program('busybox')
  const entries = new Map<string, RootfsEntry>()
  const add = (entry: RootfsEntry): void => void entries.set(entry.path, entry)

  for (const path of [...DIRECTORIES, 'www/cgi-bin']) add({ path, mode: 0o755 })
  add({ path: 'tmp', mode: 0o1777 })
  add({ path: 'bin/busybox', mode: 0o755, content: readFileSync(busybox) })
  for (const applet of (await runOk([busybox, '--list'])).split('\n').filter(Boolean)) {
    if (applet !== 'busybox') add({ path: `bin/${applet}`, mode: 0o777, target: 'busybox' })
  }
  // curl because Debian's static busybox crashes on `wget -T`, its shell running no other wget.
  for (const name of ['redis-server', 'redis-cli', 'curl']) {
    const file = program(name)
    add({ path: `usr/bin/${name}`, mode: 0o755, content: readFileSync(file) })
    for (const library of await libraries(file)) {
      for (const path of parents(library)) add({ path, mode: 0o755 })
      add({ path: library.slice(1), mode: 0o755, content: readFileSync(library) })
    }
  }
  for (const name of ['redis-cli', 'curl']) {
    add({ path: `bin/${name}`, mode: 0o777, target: `/usr/bin/${name}` })
  }
  for (const [path, mode, text] of TEXTS) add({ path, mode, content: Buffer.from(text) })
  return [...entries.values()].toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

/** The shared libraries of a program and its loader, and the name service ones it would load later. */
async function libraries(file: string): Promise<readonly string[]> {
  const found = (await runOk(['ldd', file])).match(/(?<=\s)\/\S+/g) ?? []
  const libc = found.find(path => basename(path) === 'libc.so.6')
  if (libc === undefined)
    throw new LabError(`${file} is not linked with libc.so.6; the lab needs glibc`)
  const later = ['libnss_dns.so.2', 'libnss_files.so.2'].map(name => `${dirname(libc)}/${name}`)
  return [...found, ...later]
}

function program(name: string): string {
  const path = programPath(name)
  if (path === undefined) throw new LabError(`${name} is not installed; run: npm run lab -- up`)
  return realpathSync(path)
}

function parents(path: string): readonly string[] {
  const parts = dirname(path).split('/').filter(Boolean)
  return parts.map((_, i) => parts.slice(0, i + 1).join('/'))
}
