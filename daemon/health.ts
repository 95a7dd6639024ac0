import { v1 } from '../proto/index.ts'
import type { HandlersOf } from '../proto/service.ts'
import type { Manager } from '../manager/manager.ts'

const { SERVING, NOT_SERVING } = v1.HealthCheckResponse.ServingStatus

/** Service Health: "" the process, "raft" this manager knows a leader, "leader" this manager leads. */
export function healthHandlers(manager: () => Manager | undefined): HandlersOf<'Health'> {
  return {
    async check({ service }) {
      const here = manager()
      switch (service) {
        case '':
          return { status: SERVING, message: 'the daemon answers' }
        case 'raft':
          return here && (here.isLeader() || here.leaderAddress() !== undefined)
            ? { status: SERVING, message: 'a leader is known' }
            : { status: NOT_SERVING, message: 'no leader is known here' }
        case 'leader':
          return here?.isLeader()
            ? { status: SERVING, message: 'this manager leads' }
            : {
                status: NOT_SERVING,
                message: `the leader is ${here?.leaderAddress() ?? 'not known'}`,
              }
        default:
          return {
            status: NOT_SERVING,
            message: `no service "${service}"; there are raft and leader`,
          }
      }
    },
  }
}
