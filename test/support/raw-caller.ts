// One gRPC call as a stranger might make it: reads {address, service, method, body | rawBody | stream, root, node, metadata}
// as JSON from standard input and prints {code, message}. A process of its own, so that it can run in a host of the lab.
import * as grpc from '@grpc/grpc-js'
import { text } from 'node:stream/consumers'
import { fromServiceError } from '../../proto/call.ts'
import { MANAGER_NAME } from '../../proto/certificate.ts'
import { serviceDefinition } from '../../proto/grpc.ts'
import { v1 } from '../../proto/index.ts'

interface Request {
  readonly address: string
  readonly service: 'CA' | 'Control' | 'Raft' | 'Health'
  readonly method: string
  readonly body?: object
  /** Hexadecimal bytes sent instead of an encoded body. */
  readonly rawBody?: string
  /** Messages sent on a two-way stream; `messages` of them are base64. */
  readonly stream?: readonly { clusterId: string; messages: readonly string[] }[]
  readonly root: string
  /** Key and certificate, PEM, in one text. */
  readonly node?: string
  readonly metadata?: Readonly<Record<string, string>>
}

const request = JSON.parse(await text(process.stdin)) as Request
const key = /-----BEGIN PRIVATE KEY-----[\s\S]*?-----END PRIVATE KEY-----/.exec(
  request.node ?? '',
)?.[0]
const credentials = grpc.credentials.createSsl(
  Buffer.from(request.root),
  key ? Buffer.from(key) : null,
  key ? Buffer.from(request.node ?? '') : null,
  { checkServerIdentity: () => undefined },
)
const client = new grpc.Client(request.address, credentials, {
  'grpc.ssl_target_name_override': MANAGER_NAME,
})
const method = serviceDefinition(v1[request.service], v1)[request.method]
if (!method) throw new Error(`no method ${request.service}.${request.method}`)
const serialize = (body: unknown): Buffer =>
  request.rawBody === undefined
    ? method.requestSerialize(body)
    : Buffer.from(request.rawBody, 'hex')
const metadata = new grpc.Metadata()
for (const [name, value] of Object.entries(request.metadata ?? {})) metadata.set(name, value)
const deadline = { deadline: Date.now() + 8_000 }

let finished = false
const finish = (error: Error | null): void => {
  if (finished) return
  finished = true
  const { code, message } = error ? fromServiceError(error) : { code: 'OK', message: '' }
  process.stdout.write(JSON.stringify({ code, message }))
  client.close()
}

if (request.stream) {
  const call = client.makeBidiStreamRequest(
    method.path,
    serialize,
    method.responseDeserialize,
    metadata,
    deadline,
  )
  call.on('error', finish)
  call.on('end', () => finish(null))
  call.on('data', () => undefined)
  for (const { clusterId, messages } of request.stream) {
    call.write({ clusterId, messages: messages.map(message => Buffer.from(message, 'base64')) })
  }
} else {
  client.makeUnaryRequest(
    method.path,
    serialize,
    method.responseDeserialize,
    request.body ?? {},
    metadata,
    deadline,
    finish,
  )
}
