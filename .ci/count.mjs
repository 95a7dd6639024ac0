// Prints "PASSED FAILED" for a TAP file: leaf assertions, not the subtests and files that contain them.
import { readFileSync } from 'node:fs'

const lines = readFileSync(process.argv[2], 'utf8').split('\n')
let passed = 0
let failed = 0
let deeper = 0 // depth of the last test point seen
for (const line of lines) {
  const point = /^(\s*)(not )?ok\b(.*)$/.exec(line)
  if (!point) continue
  const depth = point[1].length
  const isParent = depth < deeper
  deeper = depth
  if (isParent && !point[2]) continue
  if (/#\s*(skip|todo)/i.test(point[3])) continue
  if (!point[2]) passed += 1
  else if (!isParent) failed += 1
}
const bailed = lines.some(line => line.startsWith('Bail out!'))
console.log(`${passed} ${bailed ? Math.max(1, failed) : failed}`)
