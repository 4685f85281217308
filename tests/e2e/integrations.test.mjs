// What integrations/ holds for Datadog, New Relic, BigQuery, StatsD and systemd, each read by something real.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { program, root, run, serve, tempDir } from './lib/vitrine.mjs';
import { call, lines, platform, turn } from './lib/storefront.mjs';

const read = (path) => readFile(join(root, 'integrations', path), 'utf8');
const json = async (path) => JSON.parse(await read(path));

/** A value by its path, where a key may hold dots itself ("attributes.llm.request.model"). */
function find(object, path) {
  if (object === null || typeof object !== 'object') return undefined;
  if (path in object) return object[path];
  for (let dot = path.indexOf('.'); dot > 0; dot = path.indexOf('.', dot + 1)) {
    const inner = find(object[path.slice(0, dot)], path.slice(dot + 1));
    if (inner !== undefined) return inner;
  }
  return undefined;
}

test("Datadog's log pipeline makes of a line what a log search needs", async () => {
  const pipeline = await json('datadog/log-pipeline.json');
  const log = call({ error: 'HTTP 500' }), out = {};
  const grok = ({ source, samples, grok: { match_rules } }) => {
    const [, before, target, after] = match_rules.match(/^\w+ (.*?)%\{number:([\w.]+)\}(.*)$/);
    const number = (text) => Number(text.match(new RegExp(`^${before}(-?\\d+(?:\\.\\d+)?)${after}$`))?.[1]);
    for (const sample of samples) assert.ok(Number.isFinite(number(sample)), sample);
    out[target] = number(find(log, source));
  };
  const remap = (name) => ({ sources }) => (out[name] = sources.map((source) => find(log, source)).find((value) => value !== undefined));
  const kinds = {
    'date-remapper': remap('date'), 'status-remapper': remap('status'), 'message-remapper': remap('message'), 'service-remapper': remap('service'),
    'trace-id-remapper': remap('trace_id'), 'grok-parser': grok, 'attribute-remapper': (p) => remap(p.target)(p),
  };
  for (const processor of pipeline.processors) {
    assert.ok(kinds[processor.type], `${processor.type} is no processor that we know`);
    kinds[processor.type](processor);
  }
  assert.deepEqual(out, {
    date: log.timestamp, status: 'ERROR', message: 'TRACE: openai.chat.completions.create', service: 'ai-storefront', 'trace.duration_ms': 4283,
    trace_id: log.trace.traceId, 'dd.span_id': log.trace.spanId, model: 'gpt-4o-mini', provider: 'openai', 'usr.id': 'test-user',
  });
});

test("Datadog's dashboard asks only for metrics that StatsD sends", async (t) => {
  const { metrics } = await listen(t, [], [...turn({ fallback: true, attributes: { 'llm.cost.total': 0.01 } })]);
  const sent = new Set(metrics.map((m) => m.name));
  const widgets = (await json('datadog/dashboard.json')).widgets.flatMap((group) => group.definition.widgets);
  assert.ok(widgets.length >= 10);
  for (const { definition } of widgets)
    for (const { q } of definition.requests)
      for (const [, name] of q.matchAll(/(?:sum|avg|min|max|p\d\d):([\w.]+)\{/g)) assert.ok(sent.has(name), `${definition.title}: ${name} is not among ${[...sent].join(' ')}`);
});

test('Datadog gets each span as a log, with its key and its trace', async (t) => {
  const door = await platform(t);
  const v = await serve(t, { args: ['--forward', `datadog=${door.url}`], env: { DD_API_KEY: 'dd-secret' } });
  const sent = call({ error: 'HTTP 500' });
  await v.post('/ingest/logs', lines([sent]));
  await door.until((got) => got.length > 0);
  const [{ path, headers, json: [log] }] = door;
  assert.equal(path, '/api/v2/logs');
  assert.equal(headers['dd-api-key'], 'dd-secret');
  assert.equal(log['dd.trace_id'], sent.trace.traceId);
  assert.equal(log['dd.span_id'], String(BigInt(`0x${sent.trace.spanId}`)));
  assert.deepEqual([log.service, log.status, log.message], ['ai-storefront', 'error', sent.message]);
  assert.match(log.ddtags, /service:ai-storefront,provider:openai,model:gpt-4o-mini/);
  assert.ok(!v.log.includes('dd-secret'));
});

test('New Relic gets each span as a log, with its key and its trace', async (t) => {
  const door = await platform(t);
  const v = await serve(t, { args: ['--forward', `newrelic=${door.url}`], env: { NEW_RELIC_API_KEY: 'nr-secret' } });
  const sent = call();
  await v.post('/ingest/logs', lines([sent]));
  await door.until((got) => got.length > 0);
  const [{ path, headers, json: [{ common, logs: [log] }] }] = door;
  assert.equal(path, '/log/v1');
  assert.equal(headers['api-key'], 'nr-secret');
  assert.equal(common.attributes.logtype, 'vitrine');
  assert.ok(Math.abs(log.timestamp - Date.parse(sent.timestamp)) < 1);
  assert.deepEqual([log.message, log.attributes['trace.id'], log.attributes['span.id'], log.attributes['service.name']], [sent.message, sent.trace.traceId, sent.trace.spanId, 'ai-storefront']);
});

test('OTLP goes onward to a second server, which then holds the same trace', async (t) => {
  const second = await serve(t), first = await serve(t, { args: ['--forward', `otlp=${second.url}`] });
  const spans = turn({ fallback: true }), path = `/api/v1/traces/${spans[0].trace.traceId}`;
  await first.post('/ingest/logs', lines(spans));
  await second.until('/api/v1/traces', (b) => b.traces.some((trace) => trace.span_count === spans.length));
  const shape = ({ spans }) => spans.map(({ span_id, parent_span_id, operation, kind, service, start, duration_ms, status, error, model, provider, tokens, user_id, thread_id }) =>
    ({ span_id, parent_span_id, operation, kind, service, start, duration_ms, status, error, model, provider, tokens, user_id, thread_id })).sort((a, b) => (a.span_id < b.span_id ? -1 : 1));
  assert.deepEqual(shape(await second.get(path)), shape(await first.get(path)));
});

/** Datagrams of a server that got `spans`, taken apart; fails at one that is no DogStatsD. */
async function listen(t, args, spans) {
  const socket = createSocket('udp4'), datagrams = [];
  socket.on('message', (datagram) => datagrams.push(datagram));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  t.after(() => socket.close());
  const v = await serve(t, { args: ['--statsd', `127.0.0.1:${socket.address().port}`, ...args] });
  await v.post('/ingest/logs', lines(spans));
  for (let i = 0; i < 200 && !datagrams.length; i++) await new Promise((done) => setTimeout(done, 50));
  await new Promise((done) => setTimeout(done, 200));
  const metrics = datagrams.flatMap((datagram) => datagram.toString().split('\n').filter(Boolean)).map((text) => {
    const m = text.match(/^([A-Za-z_][\w.]*):(-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)\|(c|g|ms|h|d)(?:\|@(0?\.\d+|1))?(?:\|#([^|\n]+))?$/);
    assert.ok(m, `no DogStatsD: ${text}`);
    return { name: m[1], value: Number(m[2]), type: m[3], tags: m[5]?.split(',') ?? [] };
  });
  return { metrics, datagrams };
}

test('StatsD: a DogStatsD listener takes every datagram', async (t) => {
  const { metrics, datagrams } = await listen(t, [], Array.from({ length: 60 }, () => turn({ fallback: true })).flat());
  for (const datagram of datagrams) assert.ok(datagram.length <= 1432, `${datagram.length} bytes`);
  const sum = (name) => metrics.filter((m) => m.name === name).reduce((total, m) => total + m.value, 0);
  assert.deepEqual(['llm.requests', 'llm.errors', 'chat.turns', 'chat.fallbacks'].map((name) => sum(`ai_storefront.${name}`)), [120, 60, 60, 60]);
  const duration = metrics.find((m) => m.name === 'ai_storefront.llm.duration');
  assert.deepEqual([duration.value, duration.type], [4283, 'd']);
  for (const tag of ['service:ai-storefront', 'model:gpt-4o-mini', 'provider:openai']) assert.ok(duration.tags.includes(tag), tag);
});

test('StatsD: plain datagrams have neither tags nor distributions', async (t) => {
  const { metrics } = await listen(t, ['--statsd-plain'], turn());
  assert.ok(metrics.length >= 4);
  for (const metric of metrics) assert.deepEqual([metric.tags, ['c', 'g', 'ms'].includes(metric.type)], [[], true], JSON.stringify(metric));
});

/** What of a row does not fit a BigQuery schema. */
function misfits(row, schema, path = '') {
  const types = {
    STRING: (v) => typeof v === 'string', TIMESTAMP: (v) => typeof v === 'string' && !Number.isNaN(Date.parse(v)), JSON: () => true,
    RECORD: (v, field) => typeof v === 'object' && v !== null && misfits(v, field.fields, `${path}${field.name}.`).length === 0,
  };
  const wrong = schema.filter((field) => (row[field.name] === undefined ? field.mode === 'REQUIRED' : !types[field.type](row[field.name], field))).map((field) => path + field.name);
  return [...wrong, ...Object.keys(row).filter((key) => !schema.some((field) => field.name === key)).map((key) => `${path}${key} is unknown`)];
}

test('BigQuery: lines fit the schema, and its views answer in vitrine sql', async (t) => {
  const schema = await json('bigquery/schema.json');
  for (const line of turn({ fallback: true })) assert.deepEqual(misfits(line, schema), []);
  assert.deepEqual(misfits({ ...call(), trace: { traceId: 1 }, extra: 1 }, schema), ['trace', 'extra is unknown']);
  const v = await serve(t, { grpc: false });
  await v.post('/ingest/logs', lines(turn({ fallback: true })));
  const ask = async (sql) => {
    const { code, stdout, stderr } = await run(['sql', '--json', '--url', v.url], { input: sql });
    assert.equal(code, 0, `${sql}\n${stderr}`);
    return JSON.parse(stdout);
  };
  const views = (await read('bigquery/views.sql')).replace(/^--.*$/gm, '').split(';').map((text) => text.trim()).filter(Boolean);
  assert.equal(views.length, 2);
  for (const view of views) {
    const { columns, rows } = await ask(view.replace(/^CREATE OR REPLACE VIEW \w+ AS\s+/, ''));
    assert.ok(rows.length > 0, view);
    const duration = columns.map((c) => c.name ?? c).indexOf('duration_ms');
    assert.ok(rows.every((row) => Number(row[duration]) > 0), JSON.stringify(rows));
  }
});

test("BigQuery: the storefront's own query runs as written", async (t) => {
  const v = await serve(t, { grpc: false });
  await v.post('/ingest/logs', lines([call({ ms: 1000 }), call({ ms: 3000 })]));
  const { code, stdout, stderr } = await run(['sql', '--json', '--url', v.url], { input: await read('bigquery/storefront.sql') });
  assert.equal(code, 0, stderr);
  assert.deepEqual(JSON.parse(stdout).rows, [['openai', 2, 2000]]);
});

test('systemd takes the unit', async (t) => {
  const file = join(await tempDir(t), 'vitrine.service');
  await writeFile(file, (await read('systemd/vitrine.service')).replace('/usr/local/bin/vitrine', program));
  const got = await run(['verify', file], { command: 'systemd-analyze' }).catch(() => undefined);
  if (!got) return t.skip('systemd-analyze is not installed');
  const ours = got.stderr.split('\n').filter((line) => line.includes('vitrine.service'));
  assert.deepEqual([got.code, ours], [0, []], got.stderr);
});
