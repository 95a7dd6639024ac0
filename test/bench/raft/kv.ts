// etcd's KV.Put, as much of it as a benchmark needs, for both sides of the wire: the same bytes ask etcd and our members.
import type { MethodDefinition } from '@grpc/grpc-js'
import protobuf from 'protobufjs'

export interface PutRequest {
  readonly key: Uint8Array
  readonly value: Uint8Array
}
export interface PutResponse {
  readonly header?: { readonly revision?: number | { toString(): string } }
}

const { root } = protobuf.parse(`syntax = "proto3"; package etcdserverpb;
message PutRequest { bytes key = 1; bytes value = 2; }
message ResponseHeader { uint64 cluster_id = 1; uint64 member_id = 2; int64 revision = 3; uint64 raft_term = 4; }
message PutResponse { ResponseHeader header = 1; }`)
const request = root.lookupType('etcdserverpb.PutRequest')
const response = root.lookupType('etcdserverpb.PutResponse')

export const putMethod: MethodDefinition<PutRequest, PutResponse> = {
  path: '/etcdserverpb.KV/Put',
  requestStream: false,
  responseStream: false,
  requestSerialize: value => Buffer.from(request.encode(value).finish()),
  requestDeserialize: bytes => request.decode(bytes) as unknown as PutRequest,
  responseSerialize: value => Buffer.from(response.encode(value).finish()),
  responseDeserialize: bytes => response.decode(bytes) as unknown as PutResponse,
}

export const VALUE_BYTES = 256
