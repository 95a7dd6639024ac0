// Goal: the percentile is of the last thousand syncs.
// Method: known durations, then others that push them out.
import t from 'tap'
import { FsyncWindow } from '../../../../manager/state/raft/fsync-window.ts'

t.test(
  'nothing before the first sync; then the 99th of a hundred; then only what is recent',
  async t => {
    const window = new FsyncWindow()
    t.equal(window.p99(), 0)
    window.observe(5)
    t.equal(window.p99(), 5)
    for (let n = 1; n < 100; n++) window.observe(n / 1000)
    t.equal(window.p99(), 0.099, 'one slow sync of a hundred is beyond the 99th')
    for (let n = 0; n < 1000; n++) window.observe(0.001)
    t.equal(window.p99(), 0.001, 'what was longer ago than a thousand syncs does not count')
  },
)
