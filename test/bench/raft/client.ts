// Clients of KV.Put in a process of their own, over one grpc-js channel; the same for etcd and for our members.
import * as grpc from '@grpc/grpc-js'
import { randomBytes } from 'node:crypto'
import { serveParent } from './child.ts'
import { drive } from './drive.ts'
import { VALUE_BYTES, putMethod } from './kv.ts'

const value = randomBytes(VALUE_BYTES)

serveParent<{ address: string; proposers: number; seconds: number }>(
  async ({ address, proposers, seconds }) => {
    const client = new grpc.Client(address, grpc.credentials.createInsecure())
    const put = (caller: number): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const key = Buffer.from(`k${caller}`)
        const { path, requestSerialize, responseDeserialize } = putMethod
        client.makeUnaryRequest(
          path,
          requestSerialize,
          responseDeserialize,
          { key, value },
          (error, answer) => (error ? reject(error) : resolve(answer)),
        )
      })
    try {
      return await drive(proposers, seconds, put)
    } finally {
      client.close()
    }
  },
)
