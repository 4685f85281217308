// What the page takes, in Chromium against a real server: see run.sh.
import { createRequire } from 'node:module';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeStory, bigTrace } from '../../ui/dev/data.mjs';
import { sendTraces } from '../../ui/dev/otlp.mjs';
import { serve } from '../../tests/e2e/lib/vitrine.mjs';

const { chromium } = createRequire(new URL('../../tests/e2e/package.json', import.meta.url))('playwright-core');
const spansWanted = Number(process.env.SPANS ?? 1_000_000), runs = Number(process.env.RUNS ?? 5), rowsWanted = Number(process.env.ROWS ?? 100_000);
const CHUNK_TRACES = 10_000, DAY_MS = 86_400_000;
const median = (list) => [...list].sort((a, b) => a - b)[list.length >> 1];
const print = (what, value, goal) => console.log(`${what.padEnd(58)} ${String(value).padStart(14)}   ${goal}`);
const ms = (n) => `${n.toFixed(0)} ms`;

/* A store that is made anew, or that of a run before: DATA names a directory that is kept. */
async function fill(server) {
  const note = process.env.DATA && join(process.env.DATA, 'bench-page.json');
  if (note && existsSync(note)) return JSON.parse(readFileSync(note, 'utf8'));
  const now = Date.now(), chunks = Math.ceil(spansWanted / (4 * CHUNK_TRACES));
  let spans = 0;
  for (let i = 0; i < chunks; i++) { // a day, in order of time
    const traces = makeStory(Math.ceil(spansWanted / 4 / chunks), now - (chunks - 1 - i) * DAY_MS / chunks, 1 / chunks, i + 1).reverse();
    await sendTraces(server.url, traces, { scores: false, batch: 500 });
    spans += traces.reduce((n, trace) => n + trace.spans.length, 0);
  }
  const big = bigTrace(5000, now);
  await sendTraces(server.url, [{ ...big, spans: big.spans.map((s) => ({ trace_id: big.trace_id, ...s })) }], { scores: false });
  await server.until(`/api/v1/traces/${big.trace_id}`, (a) => a.spans.length === 5000);
  const { threads } = await server.get('/api/v1/threads?sort=turns&limit=1');
  const kept = { spans, big: big.trace_id, thread: threads[0].thread_id };
  if (note) writeFileSync(note, JSON.stringify(kept));
  return kept;
}

const cleanups = [];
const t = { after: (end) => cleanups.unshift(end) };
try {
  const server = await serve(t, { dir: process.env.DATA, grpc: false });
  const { spans, big, thread } = await fill(server);

  const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'] });
  t.after(() => browser.close());
  console.log(`${spans.toLocaleString('en-US')} spans, Chromium ${browser.version()}, ${execFileSync('nproc').toString().trim()} cores, median of ${runs}\n`);

  /* Loads `path` afresh and tells when `ready` (an expression) was first true at the end of a frame, since the navigation began. */
  const load = async (path, ready) => {
    const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
    const page = await context.newPage();
    await page.addInitScript((source) => {
      const test = new Function(`return ${source}`);
      const look = () => { if (document.body && test()) globalThis.readyAt = performance.now(); else requestAnimationFrame(look); };
      requestAnimationFrame(look);
    }, ready);
    await page.goto(server.url + path);
    await page.waitForFunction(() => globalThis.readyAt !== undefined, undefined, { timeout: 120_000 });
    const at = await page.evaluate(() => ({ ready: globalThis.readyAt, answered: Math.max(0, ...performance.getEntriesByType('resource').filter((e) => /\/api\/v1\/traces\/\w/.test(e.name)).map((e) => e.responseEnd)), paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0 }));
    return { page, context, ...at };
  };
  const repeat = async (path, ready, pick) => {
    const out = [];
    for (let i = 0; i < runs; i++) { const one = await load(path, ready); out.push(pick(one)); await one.context.close(); }
    return median(out);
  };
  /* Frames while the wheel turns: the median a second, and the slowest of a hundred. */
  const scroll = async (page, selector) => {
    const box = await page.locator(selector).boundingBox();
    await page.mouse.move(box.x + box.width / 3, box.y + box.height / 2);
    await page.evaluate(() => { const frames = globalThis.frames_ = []; let last = performance.now(); const tick = (now) => { frames.push(now - last); last = now; if (!globalThis.stop_) requestAnimationFrame(tick); }; globalThis.stop_ = false; requestAnimationFrame(tick); });
    for (let i = 0; i < 90; i++) await page.mouse.wheel(0, 400);
    const frames = (await page.evaluate(() => { globalThis.stop_ = true; return globalThis.frames_; })).slice(2).sort((a, b) => a - b);
    return { fps: 1000 / median(frames), slow: frames[Math.floor(frames.length * 0.99)], n: frames.length };
  };

  const rowsOf = (n) => `document.querySelectorAll('.trow:not(.head), tbody tr').length >= ${n}`;
  const listed = `document.querySelectorAll('.trow:not(.head)').length > 5`;
  const views = [
    ['overview with its figures, 24 h', '/', `document.querySelectorAll('.tile .value').length > 0`, 'goal 300 ms'],
    ['  with all its charts', '/', `document.querySelectorAll('.tile .value').length > 0 && !document.querySelector('.ghost-line') && document.querySelectorAll('.chart canvas').length > 5`, ''],
    ['traces, the first 200 rows', '/traces', listed, 'goal 300 ms'],
    ['  with facets, volume and latency', '/traces', `${listed} && document.querySelectorAll('.facets section').length > 2 && document.querySelectorAll('.strips canvas').length > 0`, ''],
    ['threads', '/threads', rowsOf(5), ''],
    ['one thread', `/threads/${encodeURIComponent(thread)}`, `document.querySelectorAll('.turn, .bubble').length > 0`, ''],
    ['users', '/users', rowsOf(5), ''],
    ['models and cost', '/models', `document.querySelectorAll('.chart canvas').length > 0`, ''],
    ['services', '/services', `document.querySelectorAll('.graph svg *, svg.graph *, tbody tr').length > 2`, ''],
  ];
  print('first paint of the page', ms(await repeat('/', views[0][2], (r) => r.paint)), '');
  for (const [what, path, ready, goal] of views.filter(([what]) => new RegExp(process.env.ONLY ?? '').test(what)))
    print(what, ms(await repeat(path, ready, (r) => r.ready)), goal);
  if (process.env.ONLY) throw new Error('ONLY: the rest is left out');
  const path = `/traces/${big}`, drawn = `document.querySelectorAll('.wrow').length > 10`;
  print('trace of 5,000 spans: from the answer to the drawing', ms(await repeat(path, drawn, (r) => r.ready - r.answered)), 'goal 200 ms');
  print('trace of 5,000 spans: from the address to the drawing', ms(await repeat(path, drawn, (r) => r.ready)), '');
  const trace = await load(path, drawn), turned = await scroll(trace.page, '.wrows');
  print('  scrolling it', `${turned.fps.toFixed(0)} fps`, `goal 60; 99 % of ${turned.n} frames within ${ms(turned.slow)}`);
  await trace.context.close();

  const list = await load('/traces', listed);
  const began = Date.now();
  for (let rows = 0; rows < rowsWanted && Date.now() - began < 180_000;) {
    rows = await list.page.evaluate(async () => {
      const box = document.querySelector('.virtual.rows');
      box.scrollTop = box.scrollHeight;
      await new Promise((done) => setTimeout(done, 30));
      return Number(document.querySelector('[role=grid]').getAttribute('aria-rowcount'));
    });
    if (await list.page.evaluate(() => !/\+ traces/.test(document.querySelector('.list .foot').textContent))) break;
  }
  const rows = Number(await list.page.locator('[role=grid]').getAttribute('aria-rowcount'));
  await list.page.evaluate(() => { const box = document.querySelector('.virtual.rows'); box.scrollTop = box.scrollHeight / 2; });
  const rolled = await scroll(list.page, '.virtual.rows');
  print(`scrolling a list of ${rows.toLocaleString('en-US')} traces`, `${rolled.fps.toFixed(0)} fps`, `goal 60; 99 % of ${rolled.n} frames within ${ms(rolled.slow)}`);

  const html = await (await server.fetch('/')).text();
  let bundle = 0;
  for (const [, file] of html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)) bundle += Number((await server.fetch(file, { headers: { 'accept-encoding': 'gzip' } })).headers.get('content-length'));
  print('bundle, gzip', `${(bundle / 1000).toFixed(1)} KB`, 'goal 150 KB');
} finally {
  for (const end of cleanups) await end();
}
