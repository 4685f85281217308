// Pictures of the page for docs/images, from the real program with the made-up storefront in it:
//
//   ninja -C build && (cd tests/e2e && npm ci) && node ui/dev/screenshots.mjs [NAME …]
//
// VITRINE and CHROMIUM name other programs than build/src/cli/vitrine and /usr/bin/chromium.
import { mkdir, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { makeStory } from './data.mjs'
import { sendTraces, toOtlp } from './otlp.mjs'
import { shrink } from './png.mjs'
import { root, serve, tempDir } from '../../tests/e2e/lib/vitrine.mjs'

const { chromium } = createRequire(join(root, 'tests/e2e/package.json'))('playwright-core')
const monitors = `- name: Many calls fail
  query: "sum(last_4h):count:ai_storefront.llm.errors{*} by {provider} > 10"
  message: "More than {{threshold}} calls failed."
- name: Answers are slow
  query: "avg(last_1h):avg:ai_storefront.llm.duration{*} > 10000"
  message: "The mean LLM call takes {{value}}."
- name: Token budget of the day
  query: "sum(last_1d):sum:ai_storefront.llm.tokens{*} > 50000000"
  message: "More tokens than planned."
`
const sql = `SELECT start_ms / 3600000 * 3600000 AS hour, model, round(sum(cost_usd), 4) AS cost_usd
FROM spans
WHERE kind = 'llm' AND start_ms > now_ms() - 86400000
GROUP BY hour, model
ORDER BY hour`

const cleanups = [], t = { after: end => cleanups.unshift(end) }
try {
  const dir = await tempDir(t), images = join(root, 'docs/images'), now = Date.now()
  await mkdir(images, { recursive: true })
  await writeFile(join(dir, 'monitors.yaml'), monitors)
  const server = await serve(t, { dir: join(dir, 'data'), grpc: false, args: ['--alerts', join(dir, 'monitors.yaml')] })
  const traces = makeStory(4000, now, 2)
  await sendTraces(server.url, traces)
  const calls = trace => trace.spans.filter(s => s.kind === 'llm')
  // a turn with a tool, refused by the first provider and saved by another; a conversation with such a turn in it, and more
  const saved = traces.filter(trace => trace.spans[0].fallback && calls(trace).some(s => s.status === 'OK'))
  const turns = id => traces.filter(trace => trace.spans[0].thread_id === id)
  const best = list => list.reduce((a, b) => b.spans.length > a.spans.length ? b : a)
  const told = saved.reduce((a, b) => turns(b.spans[0].thread_id).length > turns(a.spans[0].thread_id).length ? b : a)
  const shots = {
    overview: ['/', 1280, 1000], traces: ['/traces?q=status:error OR duration:>3s', 1280, 760], trace: [`/traces/${best(saved).trace_id}`, 1280, 700], thread: [`/threads/${told.spans[0].thread_id}`, 1280, 800],
    live: ['/live', 1280, 640], models: ['/models', 1280, 800], services: ['/services', 1280, 720], alerts: ['/alerts', 1280, 640], sql: [`/sql?sql=${encodeURIComponent(sql)}`, 1280, 760, 'dark'],
  }
  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] })
  t.after(() => browser.close())
  await server.until('/api/v1/alerts', a => a.monitors.every(m => m.groups?.length), { timeoutMs: 150_000 }) // monitors look once a minute
  const wanted = process.argv.slice(2)
  for (const [name, [path, width, height, scheme]] of Object.entries(shots)) {
    if (wanted.length && !wanted.includes(name)) continue
    const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme ?? 'light' })
    await page.goto(server.url + path)
    await page.waitForFunction(() => document.querySelector('main') && !document.querySelector('.ghost-line, [aria-busy="true"], .progress.on'))
    if (name === 'live') for (let i = 0; i < 40; i++) { // some life, a moment apart
      await fetch(server.url + '/v1/traces', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(toOtlp(makeStory(1, Date.now() + 9000, 0.0001, 9000 + i)[0].spans)) })
      await page.waitForTimeout(120)
    }
    await page.waitForTimeout(500)
    const file = join(images, `${name}.png`)
    const picture = shrink(await page.screenshot())
    await writeFile(file, picture)
    console.log(`docs/images/${name}.png  ${(picture.length / 1000).toFixed(0)} KB`)
    await page.close()
  }
} finally {
  for (const end of cleanups) await end()
}
