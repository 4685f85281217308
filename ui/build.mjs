// Builds the page: bundles src/ with esbuild, names files by their content, compresses them, and writes them as a C table
// (src/serve/assets.h) that is compiled into the program, or as plain files.
//
//   node build.mjs --c OUT.c [--depfile OUT.d] [--required]   for meson
//   node build.mjs --dist DIR                                 files as they are served, for a look at them
//
// Without --required a failure of `npm ci` (no network, say) leaves the page out, so that the program still builds.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, rmdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, extname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const here = dirname(fileURLToPath(import.meta.url))
const types = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

const sleep = ms => new Promise(done => setTimeout(done, ms))
const hash = data => createHash('sha256').update(data).digest('hex').slice(0, 10).toUpperCase()

/* Installs the packages of the lock file, only when they are not there or the lock has changed. */
async function install() {
  const lock = readFileSync(join(here, 'package-lock.json'))
  const stamp = join(here, 'node_modules', '.lock-hash')
  const fresh = () => existsSync(stamp) && readFileSync(stamp, 'utf8') === hash(lock)
  if (fresh()) return
  const guard = join(here, '.installing') // two build folders of one tree may come here at once
  for (let tries = 0; ; tries++) {
    try { mkdirSync(guard); break } catch {
      if (fresh()) return
      if (tries > 240 || Date.now() - statSync(guard).mtimeMs > 300_000) rmdirSync(guard)
      else await sleep(500)
    }
  }
  try {
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
    const run = spawnSync(npm, ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', '--fetch-retries=1', '--fetch-timeout=20000'],
      { cwd: here, encoding: 'utf8' })
    if (run.status !== 0) throw new Error('`npm ci` failed: ' + (run.error?.message ?? run.stderr.trim().split('\n').slice(0, 3).join(' ')))
    writeFileSync(stamp, hash(lock))
  } finally {
    rmdirSync(guard)
  }
}

/* Returns {assets: [{path, type, body, immutable}], inputs: [file]}. */
async function bundle() {
  const { build } = await import('esbuild')
  const result = await build({
    absWorkingDir: here, entryPoints: { app: 'src/main.tsx', early: 'src/early.ts', style: 'src/style/index.css' }, outdir: 'out', write: false,
    bundle: true, minify: true, metafile: true, format: 'esm', target: ['es2021'], charset: 'utf8', legalComments: 'none',
    entryNames: 'assets/[name]-[hash]', jsx: 'automatic', jsxImportSource: 'preact', define: { 'process.env.NODE_ENV': '"production"' },
    logLevel: 'error',
  })
  const out = join(here, 'out')
  const assets = result.outputFiles.map(file => ({ path: '/' + relative(out, file.path), body: Buffer.from(file.contents), immutable: true }))
  const icon = readFileSync(join(here, 'src/icon.svg'))
  assets.push({ path: `/assets/icon-${hash(icon)}.svg`, body: icon, immutable: true })
  const named = start => assets.find(a => a.path.startsWith('/assets/' + start)).path
  const html = readFileSync(join(here, 'src/index.html'), 'utf8')
    .replace('{{script}}', named('app-')).replace('{{early}}', named('early-')).replace('{{style}}', named('style-')).replace('{{icon}}', named('icon-'))
  assets.unshift({ path: '/index.html', body: Buffer.from(html), immutable: false })
  const inputs = [...Object.keys(result.metafile.inputs), 'src/index.html', 'src/icon.svg', 'package-lock.json', 'build.mjs']
  return { assets, inputs: inputs.map(file => resolve(here, file)) }
}

function toC(assets) {
  const text = value => JSON.stringify(value)
  const rows = [], data = []
  assets.forEach((asset, i) => {
    const body = gzipSync(asset.body, { level: 9 })
    data.push(`static const unsigned char data_${i}[] = {${[...body].join(',').replace(/(.{1,118}),/g, '$1,\n')}};`)
    rows.push(`    {${text(asset.path)}, ${text(types[extname(asset.path)])}, ${text(`"${hash(asset.body)}"`)}, data_${i}, sizeof(data_${i}), ${asset.immutable}},`)
  })
  return `/* Made by ui/build.mjs. */\n#include "serve/assets.h"\n\n${data.join('\n')}\n\nconst struct asset assets[] = {\n` +
    `${rows.join('\n') || '    {0}'}\n};\nconst size_t asset_count = ${assets.length};\n`
}

async function main(args) {
  const option = name => { const i = args.indexOf(name); return i < 0 ? null : args[i + 1] }
  const cFile = option('--c'), dist = option('--dist'), depfile = option('--depfile')
  if (!cFile && !dist) throw new Error('nothing to do: give --c FILE or --dist DIR')
  let assets, inputs
  try {
    await install();
    ({ assets, inputs } = await bundle())
  } catch (e) {
    if (args.includes('--required') || dist || e.errors) throw e // a mistake in the page's own source is never hidden
    console.error(`\n*** THE WEB PAGE IS LEFT OUT of this build: ${e.message}\n*** The program works without it. Build again where npm reaches its registry, or set -Dui=disabled.\n`)
    assets = [] // the server says so at /, and how to mend it
    inputs = [join(here, 'node_modules/.lock-hash')] // not there: ninja tries again the next time
  }
  if (depfile) writeFileSync(depfile, `${cFile}: ${inputs.map(file => file.replace(/ /g, '\\ ')).join(' \\\n  ')}\n`)
  if (cFile) writeFileSync(cFile, toC(assets))
  for (const asset of dist ? assets : []) {
    const file = join(dist, asset.path)
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, asset.body)
  }
  const total = assets.reduce((sum, asset) => sum + gzipSync(asset.body, { level: 9 }).length, 0)
  if (dist) console.log(assets.map(a => `${a.path}  ${a.body.length} B, ${gzipSync(a.body, { level: 9 }).length} B gzip`).join('\n') + `\ntotal ${total} B gzip`)
}

main(process.argv.slice(2)).catch(e => { console.error(e.errors ? '' : `ui: ${e.message ?? e}`); process.exitCode = 1 })
