// ClickHouse and Grafana over it: a real clickhouse-server (Debian's) takes the schema and an export of a running server, and every panel of
// the dashboard answers what our own API does.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { join } from 'node:path';
import { clickhouseServer, startClickhouse } from './lib/clickhouse.mjs';
import { atEnd, program, root, run, serve, tempDir } from './lib/vitrine.mjs';
import { call, lines, turn } from './lib/storefront.mjs';

const folder = join(root, 'integrations/clickhouse');
const needsClickhouse = { skip: !clickhouseServer() && "Debian's packages clickhouse-server and clickhouse-client are not installed" };
const HOUR_MS = 3_600_000;
const board = async () => JSON.parse(await readFile(join(root, 'integrations/grafana/vitrine-clickhouse.json'), 'utf8'));
const close = (found, expected, words, within = 1e-9) => assert.ok(Math.abs(found - expected) <= within * Math.abs(expected) + 1e-12, `${words}: ${found}, expected ${expected}`);

/** A server with the schema: 18.16, which Debian has, wants LowCardinality asked for, or left out. */
async function clickhouse(t) {
  const ch = await startClickhouse(await tempDir(t));
  atEnd(t, () => ch.stop());
  const schema = await readFile(join(folder, 'schema.sql'), 'utf8');
  await ch.script(schema.replaceAll('LowCardinality(String)', 'String'));
  ch.load = async (...args) => {
    const env = { ...process.env, VITRINE: program, CLICKHOUSE: `clickhouse-client --host 127.0.0.1 --port ${ch.tcp}` };
    await promisify(execFile)(join(folder, 'load.sh'), args, { env });
  };
  return ch;
}

/** As the data source's documentation says of its macros. */
const expand = (sql, fromMs, toMs, stepS) =>
  sql
    .replace(/\$__timeFilter\((\w+)\)/g, (_, column) => `${column} >= toDateTime(${Math.floor(fromMs / 1000)}) AND ${column} <= toDateTime(${Math.floor(toMs / 1000)})`)
    .replace(/\$__interval_s\b/g, String(stepS));

/** Days ago, so that everything lies in one step of Grafana's, and turns of several kinds. */
function traffic(at) {
  const models = [['gpt-4o', 'openai', 0.02], ['gpt-4o-mini', 'openai', 0.001], ['claude-sonnet-4', 'anthropic', 0.03]];
  return Array.from({ length: 60 }, (_, i) => {
    const [model, provider, cost] = models[i % 3];
    const spans = turn({ fallback: i % 10 === 0, model, provider, attributes: { 'llm.cost.total': cost, 'llm.usage.cached_tokens': 40 } });
    for (const line of spans) {
      line.timestamp = new Date(at + i * 20_000).toISOString();
      for (const key of ['user.id', 'chat.user_id']) if (line.attributes[key]) line.attributes[key] = `user-${i % 7}`;
      for (const key of ['thread.id', 'chat.thread_id']) if (line.attributes[key]) line.attributes[key] = `thread-${i % 20}`;
      if (line.message.includes('completions')) line.trace.duration = `${500 + 37 * i}ms`;
    }
    return spans;
  }).flat();
}

test('every panel over ClickHouse shows what the API answers', needsClickhouse, async (t) => {
  const v = await serve(t, { grpc: false });
  const from = Math.floor(Date.now() / HOUR_MS) * HOUR_MS - 26 * HOUR_MS, to = from + HOUR_MS - 1;
  await v.post('/ingest/logs', lines(traffic(from + 60_000)));
  await v.post('/ingest/logs', lines([call({ at: from, service: 'other' })])); // on no panel of the storefront
  const { traces } = await v.get(`/api/v1/traces?from=${from}&to=${to}&q=service:ai-storefront&limit=60`);
  for (const [i, trace] of traces.entries()) if (i % 4 !== 1) await v.post('/api/v1/scores', { trace_id: trace.trace_id, name: 'helpful', value: i % 5 });

  const ch = await clickhouse(t);
  await ch.load('--url', v.url);
  await ch.load('--url', v.url); // twice: kept once
  await ch.load('--scores', '--url', v.url);
  for (const table of ['spans', 'scores']) await ch.text(`OPTIMIZE TABLE vitrine.${table} FINAL`);

  const [{ now, models, providers }, everything] = [
    await v.get(`/api/v1/overview?from=${from}&to=${to}&q=service:ai-storefront`),
    await v.get(`/api/v1/overview?from=${from}&to=${Date.now() + 1000}&q=service:ai-storefront`), // scores are of now
  ];
  assert.equal(now.turns, 60);
  assert.equal(now.fallbacks, 6);
  const panels = Object.fromEntries((await board()).panels.filter((panel) => panel.targets).map((panel) => [panel.title, panel.targets[0].rawSql]));
  const show = (title, end = to, step = HOUR_MS / 1000) => {
    assert.ok(panels[title], `no panel "${title}"`);
    const sql = expand(panels[title], from, end, step);
    delete panels[title];
    return ch.ask(sql);
  };
  const byModel = async (title, column, ours) => {
    const rows = await show(title);
    assert.deepEqual(rows.map((row) => row.model), models.map((model) => model.model).sort(), title);
    for (const row of rows) ours(row[column], models.find((model) => model.model === row.model), `${title}, ${row.model}`);
  };
  await byModel('LLM calls per minute', 'calls', (found, model, words) => close(found, model.calls / 60, words));
  // Both are sketches, and a few dozen calls lie some percent apart.
  await byModel('LLM latency p95 by model', 'p95', (found, model, words) => close(found, model.p95_ms / 1000, words, 0.06));
  await byModel('LLM latency p50 by model', 'p50', (found, model, words) => close(found, model.p50_ms / 1000, words, 0.1));
  await byModel('Time to first token p95 by model', 'ttft', (found, model, words) => close(found, model.ttft_p95_ms / 1000, words, 0.02));
  await byModel('Cost per hour by model (USD)', 'usd', (found, model, words) => close(found, model.cost_usd, words));
  const errors = await show('LLM error rate by provider');
  assert.deepEqual(errors.map((row) => row.provider), ['anthropic', 'openai']);
  for (const row of errors) close(row.errors, providers.find((p) => p.provider === row.provider).error_rate, `errors of ${row.provider}`);
  const one = async (title) => {
    const rows = await show(title);
    assert.equal(rows.length, 1, title);
    return rows[0];
  };
  const tokens = await one('Tokens per minute');
  for (const type of ['input', 'output', 'cached']) close(tokens[type] * 60, now.tokens[type], `${type} tokens`);
  close((await one('Cost per conversation (USD)')).usd, now.cost_per_thread_usd, 'cost per conversation');
  close((await one('Chat turns per minute')).turns * 60, now.turns, 'turns');
  close((await one('Turns per conversation')).turns, now.turns_per_thread, 'turns per conversation');
  assert.equal((await one('Active users')).users, now.active_users);
  close((await one('Fallback rate')).fallbacks, now.fallback_rate, 'fallback rate');

  const scored = await show('Score against cost, by model', Date.now() + 1000);
  assert.equal(scored.length, 3);
  for (const row of scored) {
    const ours = everything.scores.find((score) => score.model === row.model);
    assert.deepEqual([row.score, row.scores], [ours.name, ours.count]);
    close(row.mean, ours.avg, `score of ${row.model}`);
    close(row.cost_per_trace_usd, ours.cost_usd, `cost of ${row.model}`);
  }
  assert.deepEqual(Object.keys(panels), [], 'panels that nothing was compared with');
});

test('an export comes through ClickHouse without loss', needsClickhouse, async (t) => {
  const v = await serve(t, { grpc: false }), awkward = 'one, "two"\n\\three\t\u{1F6CD} \'four\'';
  await v.post('/ingest/logs', lines([...turn(), call({ error: awkward, attributes: { note: awkward, 'llm.prompt': awkward } })]));
  const ch = await clickhouse(t);
  await ch.load('--url', v.url);
  const columns = 'trace_id, span_id, operation, service, model, error, prompt, attributes, tokens_input, tokens_output, temperature, user_id, thread_id';
  const theirs = await ch.ask(`SELECT ${columns}, intDiv(start_ns, 1000000) AS start_ms, duration_ns FROM vitrine.spans ORDER BY span_id`);
  const rows = (await run(['export', '--format', 'ndjson', '--url', v.url])).stdout.trim().split('\n').map((line) => JSON.parse(line)).sort((a, b) => (a.span_id < b.span_id ? -1 : 1));
  assert.equal(theirs.length, 3);
  for (const [i, row] of rows.entries()) {
    const found = theirs[i];
    for (const key of ['trace_id', 'span_id', 'operation', 'service']) assert.equal(found[key], row[key], key);
    assert.equal(found.start_ms, Date.parse(row.start));
    assert.equal(found.error, row.error ?? '');
    assert.deepEqual([found.tokens_input, found.tokens_output, found.temperature], [row.tokens?.input ?? null, row.tokens?.output ?? null, row.temperature ?? null]);
    close(found.duration_ns / 1e6, row.duration_ms, 'duration');
    assert.deepEqual(JSON.parse(found.attributes || '{}'), row.attributes ?? {});
  }
  assert.ok(theirs.some((row) => row.error === awkward && JSON.parse(row.attributes).note === awkward));
});

test('the dashboard over ClickHouse is what the program writes, and no service name breaks out of its SQL', needsClickhouse, async (t) => {
  const data = await tempDir(t);
  const write = async (...services) => (await run(['dashboards', 'grafana-clickhouse', ...services.flatMap((name) => ['--service', name]), '--data', data])).stdout;
  assert.equal(await write('ai-storefront'), await readFile(join(root, 'integrations/grafana/vitrine-clickhouse.json'), 'utf8'), 'integrations/grafana/vitrine-clickhouse.json: write it anew');
  const names = ["it's", "\\', 1) OR 1 = 1 --", '${__timeFilter} $__interval_s', 'Läden'];
  const ch = await clickhouse(t);
  for (const name of names) {
    const { panels } = JSON.parse(await write(name));
    for (const { rawSql } of panels.filter((panel) => panel.targets).map((panel) => panel.targets[0])) {
      assert.ok(!rawSql.includes('${'), 'Grafana would read a variable');
      await ch.ask(expand(rawSql, 0, 1000, 60));
    }
    const [, literal] = panels.find((panel) => panel.targets).targets[0].rawSql.match(/service = ('[^']*')/);
    assert.deepEqual(await ch.ask(`SELECT ${literal} AS name`), [{ name }]);
  }
});
