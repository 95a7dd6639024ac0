#!/usr/bin/env node
// The `skein` command: the daemon and the command line are two programs behind one name, and neither loads the other.
if (process.argv[2] === 'daemon') {
  process.argv.splice(2, 1)
  await import('../dist/daemon/main.js')
} else {
  await import('../dist/cli/main.js')
}
