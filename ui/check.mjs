// Type-checks the page (`meson test --suite page`). Exit code 77, "skipped" to meson, where its packages are not installed.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
if (existsSync(join(here, 'node_modules/typescript'))) {
  const run = spawnSync(process.execPath, ['node_modules/typescript/bin/tsc', '--noEmit'], { cwd: here, stdio: 'inherit' })
  process.exitCode = run.status ?? 1
} else process.exitCode = 77
