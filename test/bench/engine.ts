// The one observer both systems are measured with: what the engines themselves say, over their sockets.
import { request } from 'node:http'
import type { Host } from '../lab/lab.ts'

/** One call of an engine's API. @throws with the engine's message when the status is not 2xx */
export function engineCall(
  host: Host,
  method: string,
  path: string,
  body?: unknown,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const call = request(
      {
        socketPath: host.dockerSocket,
        method,
        path: `/v1.41${path}`,
        headers: { 'content-type': 'application/json' },
        timeout: 15_000,
      },
      response => {
        let text = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (text += chunk))
        response.on('error', reject)
        response.on('end', () => {
          const status = response.statusCode ?? 0
          if (status >= 200 && status < 300) resolve(text ? JSON.parse(text) : undefined)
          else reject(new Error(`${method} ${path} on ${host.name}: ${status} ${text.trim()}`))
        })
      },
    )
    call.on('timeout', () =>
      call.destroy(new Error(`${method} ${path} on ${host.name}: no answer`)),
    )
    call.on('error', reject)
    call.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

/** How many running containers of the hosts carry a label. */
export async function countRunning(hosts: readonly Host[], label: string): Promise<number> {
  const filters = encodeURIComponent(JSON.stringify({ label: [label], status: ['running'] }))
  const lists = await Promise.all(
    hosts.map(host => engineCall(host, 'GET', `/containers/json?filters=${filters}`)),
  )
  return lists.reduce<number>((sum, list) => sum + (list as unknown[]).length, 0)
}

/** Seconds until `holds` does, asked every 50 ms; an error counts as "not yet". @throws after `limitS` */
export async function secondsUntil(
  what: string,
  limitS: number,
  holds: () => Promise<boolean>,
): Promise<number> {
  const startMs = performance.now()
  for (;;) {
    if (await holds().catch(() => false)) return (performance.now() - startMs) / 1000
    if (performance.now() - startMs > limitS * 1000)
      throw new Error(`${what}: not within ${limitS} s`)
    await new Promise(resume => setTimeout(resume, 50))
  }
}
