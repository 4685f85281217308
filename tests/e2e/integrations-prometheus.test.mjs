// Prometheus and Grafana: Debian's own Prometheus scrapes a running server, and answers every query of the dashboard and the rules.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { copyFile, readFile, writeFile } from 'node:fs/promises';
import { once } from 'node:events';
import { join } from 'node:path';
import { atEnd, freePort, root, run, serve, tempDir } from './lib/vitrine.mjs';
import { call, lines, turn } from './lib/storefront.mjs';

const folder = join(root, 'integrations');
const pause = (ms) => new Promise((done) => setTimeout(done, ms));
const openMetrics = { accept: 'application/openmetrics-text; version=1.0.0' };
const installed = (await run(['--version'], { command: 'prometheus' }).catch(() => ({ code: 1 }))).code === 0;
const needsPrometheus = { skip: !installed && "Debian's package prometheus is not installed" };

async function until(what, ask, timeoutMs = 120_000) {
  const end = Date.now() + timeoutMs;
  for (let last; ; await pause(200)) {
    last = await ask().catch((error) => ({ error: String(error) }));
    if (last?.ok) return last;
    if (Date.now() > end) assert.fail(`${what}: ${JSON.stringify(last).slice(0, 3000)}`);
  }
}

/** Prometheus with integrations/prometheus/prometheus.yml, scraping each second a server that is not where the file says. */
async function prometheus(t, port) {
  const dir = await tempDir(t), at = `127.0.0.1:${await freePort()}`;
  const config = (await readFile(join(folder, 'prometheus/prometheus.yml'), 'utf8')).replace('127.0.0.1:4318', `127.0.0.1:${port}`).replaceAll('interval: 15s', 'interval: 1s');
  await writeFile(join(dir, 'prometheus.yml'), config);
  await copyFile(join(folder, 'prometheus/rules.yml'), join(dir, 'rules.yml'));
  const child = spawn('prometheus', [`--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/data`, `--web.listen-address=${at}`, '--enable-feature=exemplar-storage'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (log += text));
  const end = once(child, 'close');
  atEnd(t, async () => (child.kill('SIGTERM'), await end));
  const get = async (path) => {
    const body = await (await fetch(`http://${at}/api/v1/${path}`)).json();
    assert.equal(body.status, 'success', `${path}: ${JSON.stringify(body)}\n${log.slice(-2000)}`);
    return body.data;
  };
  return { get, query: async (promql) => (await get(`query?query=${encodeURIComponent(promql)}`)).result };
}

const traffic = () => lines([...turn(), ...turn({ fallback: true }), ...turn({ model: 'claude-sonnet-4', provider: 'anthropic', attributes: { 'llm.cost.total': 0.01 } })]);
const dashboard = async () => JSON.parse(await readFile(join(folder, 'grafana/vitrine-prometheus.json'), 'utf8'));

test('Prometheus scrapes a running server and answers every panel of the Grafana dashboard with data', needsPrometheus, async (t) => {
  const v = await serve(t, { grpc: false });
  await v.post('/ingest/logs', traffic());
  const p = await prometheus(t, v.port);
  await until('a first scrape', async () => ({ ok: (await p.query('ai_storefront_llm_requests_total')).length > 0 }));
  await v.post('/ingest/logs', traffic()); // a rate needs a change between two scrapes
  const panels = (await dashboard()).panels.filter((panel) => panel.targets);
  assert.ok(panels.length >= 10);
  for (const panel of panels)
    for (const target of panel.targets) {
      const { result } = await until(`"${panel.title}": ${target.expr}`, async () => {
        const found = await p.query(target.expr);
        return { ok: found.length > 0 && found.every((s) => Number.isFinite(Number(s.value[1]))) && found.some((s) => Number(s.value[1]) > 0), result: found };
      });
      const label = target.legendFormat.match(/^{{(.+)}}$/)?.[1]; // every series can be told from the others
      if (label) for (const series of result) assert.ok(series.metric[label], `${panel.title} has a series without ${label}: ${JSON.stringify(series.metric)}`);
    }
});

test('Prometheus evaluates every alert rule without error, and the storefront\'s LLM errors fire', needsPrometheus, async (t) => {
  const v = await serve(t, { grpc: false });
  await v.post('/ingest/logs', traffic());
  const p = await prometheus(t, v.port);
  await until('a first scrape', async () => ({ ok: (await p.query('ai_storefront_llm_errors_total')).length > 0 }));
  await v.post('/ingest/logs', lines(Array.from({ length: 20 }, () => call({ error: 'HTTP 500' }))));
  const { rules } = await until('every rule evaluated, LLMErrors firing', async () => {
    const { groups } = await p.get('rules');
    const all = groups.flatMap((g) => g.rules);
    return { ok: all.length === 4 && all.every((r) => r.health === 'ok') && all.find((r) => r.name === 'LLMErrors').state === 'firing', rules: all };
  });
  assert.deepEqual(rules.map((r) => r.lastError ?? ''), ['', '', '', '']);
  const [target] = (await p.get('targets')).activeTargets;
  assert.equal(target.lastError, '');
  assert.equal(target.health, 'up');
});

test('Prometheus keeps the OpenMetrics exemplars, whose trace ids lead to traces', needsPrometheus, async (t) => {
  const v = await serve(t, { grpc: false });
  const p = await prometheus(t, v.port);
  await until('a first scrape', async () => ({ ok: (await p.query('up == 1')).length > 0 }));
  const sent = call({ ms: 20 });
  await v.post('/ingest/logs', lines([sent]));
  const { found } = await until('an exemplar', async () => {
    const now = Date.now() / 1000;
    const series = await p.get(`query_exemplars?query=ai_storefront_llm_duration_seconds_bucket&start=${now - 600}&end=${now + 600}`);
    return { ok: series.length > 0, found: series.flatMap((s) => s.exemplars) };
  });
  assert.equal(found[0].labels.trace_id, sent.trace.traceId);
  assert.equal(Number(found[0].value), 0.02);
  assert.equal((await v.get(`/api/v1/traces/${found[0].labels.trace_id}`)).spans.length, 1);
});

test('promtool finds nothing to say about /metrics, the configuration and the rules', needsPrometheus, async (t) => {
  const target = 'http://127.0.0.1:9'; // nothing is there: forwarding has numbers all the same
  const v = await serve(t, { args: ['--forward', `otlp=${target}`, '--forward', `otlp=${target}`] });
  await v.post('/ingest/logs', traffic());
  const metrics = await v.get('/metrics');
  for (const family of ['vitrine_forward_spans_queued_total{target="otlp-1"}', 'vitrine_forward_queue_bytes{target="otlp-2"}', 'vitrine_store_spans ', 'ai_storefront_llm_duration_seconds_bucket{', 'ai_storefront_llm_ttft_seconds_sum{'])
    assert.ok(metrics.includes(`\n${family}`), `/metrics has no ${family}`);
  const promtool = async (args, input) => {
    const { code, stdout, stderr } = await run(args, { command: 'promtool', input });
    assert.equal(`${code} ${stderr}`, '0 ', stdout);
  };
  await promtool(['check', 'metrics'], metrics);
  await promtool(['check', 'config', join(folder, 'prometheus/prometheus.yml')]);
  const rules = join(await tempDir(t), 'rules.yml');
  await v.post('/ingest/logs', lines(turn({ service: 'shop "2"' })));
  assert.equal((await run(['dashboards', 'prometheus', '-o', rules, '--url', v.url])).code, 0);
  assert.match(await readFile(rules, 'utf8'), /shop__2__llm_errors_total/);
  await promtool(['check', 'rules', rules]);
});

test('every family is described in docs/metrics.md', async (t) => {
  const v = await serve(t, { args: ['--forward', 'otlp=http://127.0.0.1:9', '--upstream', 'local=http://127.0.0.1:9'] });
  await v.post('/ingest/logs', traffic());
  const page = await readFile(join(root, 'docs/metrics.md'), 'utf8');
  const families = [...(await v.get('/metrics')).matchAll(/^# TYPE (\S+) /gm)].map((m) => m[1].replace(/^ai_storefront_/, '<service>_'));
  assert.ok(families.length > 50);
  assert.deepEqual(families.filter((family) => !page.includes(`\`${family}\``)), []);
});

test('label values without end become one overflow series, and nothing is lost', async (t) => {
  const v = await serve(t, { grpc: false });
  await v.post('/ingest/logs', lines(Array.from({ length: 3000 }, (_, i) => call({ model: `model-${i}` }))));
  const text = await (await v.fetch('/metrics', { headers: openMetrics })).text();
  const samples = [...text.matchAll(/^ai_storefront_llm_requests_total\{(.*)\} (\S+)$/gm)];
  assert.ok(samples.length > 500 && samples.length < 1100, `${samples.length} series`);
  assert.equal(samples.reduce((sum, m) => sum + Number(m[2]), 0), 3000);
  assert.ok(samples.some((m) => m[1].includes('model="overflow"') && Number(m[2]) > 1500));
  assert.match(text, /^vitrine_metric_overflow_total [1-9]\d+$/m);
  assert.match(text, /# EOF\n$/);
});

test('the dashboard and the rules in integrations/ are what the program writes', async (t) => {
  const data = await tempDir(t);
  for (const [form, file] of [['grafana', 'grafana/vitrine-prometheus.json'], ['datadog', 'datadog/dashboard.json'], ['prometheus', 'prometheus/rules.yml']]) {
    const { stdout } = await run(['dashboards', form, '--service', 'ai-storefront', '--data', data]);
    assert.equal(stdout, await readFile(join(folder, file), 'utf8'), `integrations/${file}: write it anew`);
  }
});

/** What Grafana asks of a dashboard: ids and datasources that are there, panels beside one another. */
function checkGrafana(board, type) {
  assert.ok(board.title && board.uid && board.schemaVersion >= 36);
  const variables = Object.fromEntries(board.templating.list.map((v) => [v.name, v]));
  assert.deepEqual([variables.datasource.type, variables.datasource.query], ['datasource', type]);
  const ids = board.panels.map((p) => p.id);
  assert.equal(new Set(ids).size, ids.length, 'panel ids are unique');
  for (const panel of board.panels) {
    const { x, y, w, h } = panel.gridPos;
    assert.ok(x >= 0 && w > 0 && x + w <= 24 && y >= 0 && h > 0, `${panel.title} leaves the grid`);
    for (const other of board.panels) {
      if (other === panel) continue;
      const o = other.gridPos;
      assert.ok(x + w <= o.x || o.x + o.w <= x || y + h <= o.y || o.y + o.h <= y, `${panel.title} lies over ${other.title}`);
    }
    if (panel.type === 'row') continue;
    for (const part of [panel, ...panel.targets]) assert.deepEqual(part.datasource, { type, uid: '${datasource}' });
    assert.equal(new Set(panel.targets.map((target) => target.refId)).size, panel.targets.length);
  }
}

test('Grafana takes the dashboards: ids, datasources and places are right', async (t) => {
  checkGrafana(await dashboard(), 'prometheus');
  const services = ['ai-storefront', 'search', 'mail'].flatMap((name) => ['--service', name]);
  const { stdout } = await run(['dashboards', 'grafana', ...services, '--data', await tempDir(t)]);
  checkGrafana(JSON.parse(stdout), 'prometheus');
});
