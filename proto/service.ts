// Services as the rooms write them: plain functions of a message and its caller. The server's wrapper (daemon/rpc)
// turns them into grpc-js handlers and has identified and admitted the caller before they run.
import type * as grpc from '@grpc/grpc-js'
import type { Duplex } from '../runtime/duplex.ts'
import type { Handlers } from './grpc.ts'
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

type GrpcHandler<H> =
  H extends grpc.handleUnaryCall<infer Req, infer Res>
    ? (request: Req, caller: Caller) => Promise<Res>
    : H extends grpc.handleServerStreamingCall<infer Req, infer Res>
      ? (request: Req, outlet: Outlet<Res>, caller: Caller) => void
      : H extends grpc.handleBidiStreamingCall<infer Req, infer Res>
        ? (stream: Duplex<Req, Res>, caller: Caller) => void
        : never

type V1 = typeof v1

/** The handlers of a service of skein.v1, e.g. `HandlersOf<'Control'>`. */
export type HandlersOf<K extends keyof V1> = V1[K] extends { prototype: infer S }
  ? { readonly [M in keyof Handlers<S, V1>]: GrpcHandler<Handlers<S, V1>[M]> }
  : never
