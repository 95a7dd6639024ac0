// Services as the rooms write them: plain functions of a message and its caller. The server's wrapper (daemon/rpc)
// turns them into grpc-js handlers and has identified and admitted the caller before they run.
import type { Duplex } from '../runtime/duplex.ts'
import type { InitOf, PlainOf } from './codec.ts'
import type { v1 } from './index.ts'

/** Who calls, as the certificate (or the local socket) proves it. `none`: no valid certificate. */
export interface Caller {
  readonly nodeId: string
  readonly role: 'manager' | 'worker' | 'none' | 'local'
  /** host:port as this side sees it, for logs and rate limits. */
  readonly address: string
  /** Id of the manager that passed the call on for its caller. */
  readonly forwardedFrom?: string
  /** Why a caller that showed a certificate has role `none`. */
  readonly doubt?: string
}

/** The answering half of a server-streaming call. */
export type Outlet<Out> = Pick<Duplex<never, Out>, 'send' | 'backlog' | 'end' | 'onEnd'>

type V1 = typeof v1
interface Method {
  readonly requestType: keyof V1
  readonly responseType: keyof V1
  readonly requestStream: true | undefined
  readonly responseStream: true | undefined
}
type Request<M extends Method> = PlainOf<V1[M['requestType']]>
/** Whole messages, or with fields left out. */
type Response<M extends Method> = PlainOf<V1[M['responseType']]> | InitOf<V1[M['responseType']]>

type Handler<M extends Method> = M['requestStream'] extends true
  ? (stream: Duplex<Request<M>, Response<M>>, caller: Caller) => void
  : M['responseStream'] extends true
    ? (request: Request<M>, outlet: Outlet<Response<M>>, caller: Caller) => void
    : (request: Request<M>, caller: Caller) => Promise<Response<M>>

/** The handlers of a service of skein.v1, e.g. `HandlersOf<'Control'>`. */
export type HandlersOf<K extends keyof V1> = V1[K] extends { prototype: infer S }
  ? {
      readonly [M in keyof S as S[M] extends Method ? M : never]: S[M] extends Method
        ? Handler<S[M]>
        : never
    }
  : never
