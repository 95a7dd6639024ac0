// Typed grpc-js over pbjs's static services: handlers and clients see plain objects only (see plain.ts).
import * as grpc from '@grpc/grpc-js'
import { codec } from './codec.ts'
import type { MessageType } from './codec.ts'
import type { Init, Plain } from './plain.ts'

/** What pbjs's static services carry on each method, in types and at run time alike. */
interface MethodInfo {
  readonly path: string
  readonly requestType: string
  readonly responseType: string
  readonly requestStream: true | undefined
  readonly responseStream: true | undefined
}
type Methods<S> = { [K in keyof S as S[K] extends MethodInfo ? K : never]: S[K] & MethodInfo }

/** A generated namespace, such as `typeof skein.v1`; Shape finds a message's $Shape in it by name. */
type Messages = Record<string, unknown>
type Shape<N extends Messages, K extends string> = N[K] extends {
  create: { (p: infer S): unknown; (p?: infer _): unknown }
}
  ? S
  : never

/** The handlers of a service, by method name. Responses may leave out any field. */
export type Handlers<S, N extends Messages> = {
  [K in keyof Methods<S>]: Methods<S>[K] extends infer M extends MethodInfo
    ? Handler<M, Plain<Shape<N, M['requestType']>>, Init<Shape<N, M['responseType']>>>
    : never
}
type Handler<M extends MethodInfo, Req, Res> = M['requestStream'] extends true
  ? M['responseStream'] extends true
    ? grpc.handleBidiStreamingCall<Req, Res>
    : grpc.handleClientStreamingCall<Req, Res>
  : M['responseStream'] extends true
    ? grpc.handleServerStreamingCall<Req, Res>
    : grpc.handleUnaryCall<Req, Res>

/** A client of a service. Requests may leave out any field. */
export type Client<S, N extends Messages> = grpc.Client & {
  [K in keyof Methods<S>]: Methods<S>[K] extends infer M extends MethodInfo
    ? Call<M, Init<Shape<N, M['requestType']>>, Plain<Shape<N, M['responseType']>>>
    : never
}
type Call<M extends MethodInfo, Req, Res> = M['requestStream'] extends true
  ? M['responseStream'] extends true
    ? (metadata?: grpc.Metadata, options?: grpc.CallOptions) => grpc.ClientDuplexStream<Req, Res>
    : (metadata: grpc.Metadata, done: grpc.requestCallback<Res>) => grpc.ClientWritableStream<Req>
  : M['responseStream'] extends true
    ? (
        request: Req,
        metadata?: grpc.Metadata,
        options?: grpc.CallOptions,
      ) => grpc.ClientReadableStream<Res>
    : UnaryCall<Req, Res>

/** A unary call in grpc-js's callback form; unary() in call.ts turns it into a promise with a deadline. */
export type UnaryCall<Req, Res> = (
  request: Req,
  metadata: grpc.Metadata,
  options: grpc.CallOptions,
  done: grpc.requestCallback<Res>,
) => grpc.ClientUnaryCall

/** Builds grpc-js's definition from a generated service class, so handlers see plain objects and never Long. */
export function serviceDefinition(
  service: { prototype: object },
  messages: Messages,
): grpc.ServiceDefinition {
  const definition: Record<string, grpc.MethodDefinition<unknown, unknown>> = {}
  const methods = Object.entries(Object.getOwnPropertyDescriptors(service.prototype))
  for (const [name, { value }] of methods) {
    if (name === 'constructor') continue
    const method = value as MethodInfo
    const request = codec(messages[method.requestType] as MessageType)
    const response = codec(messages[method.responseType] as MessageType)
    definition[name] = {
      path: method.path,
      requestStream: method.requestStream === true,
      responseStream: method.responseStream === true,
      requestSerialize: value => Buffer.from(request.encode(value as never)),
      requestDeserialize: bytes => request.decode(bytes),
      responseSerialize: value => Buffer.from(response.encode(value as never)),
      responseDeserialize: bytes => response.decode(bytes),
    }
  }
  return definition
}

/** A client for `service` at `address` (host:port or unix:path). Close it with client.close(). */
export function clientFor<S extends object, N extends Messages>(
  service: { prototype: S },
  messages: N,
  address: string,
  credentials: grpc.ChannelCredentials,
  options: grpc.ClientOptions = {},
): Client<S, N> {
  const ClientClass = grpc.makeGenericClientConstructor(
    serviceDefinition(service, messages),
    'client',
  )
  return new ClientClass(address, credentials, options) as unknown as Client<S, N>
}
