// Datadog: its own API client (@datadog/datadog-api-client) reads and sends what integrations/datadog holds, strictly: what its
// models do not know is an error. Direct log shipping, and the metrics that the dashboard asks for.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { client, v1 } from '@datadog/datadog-api-client';
import { root, run, serve } from './lib/vitrine.mjs';
import { call, lines, platform, statsdListener, turn } from './lib/storefront.mjs';

const require = createRequire(import.meta.url);
const serializer = (version) => require(`@datadog/datadog-api-client/dist/packages/datadog-api-client-${version}/models/ObjectSerializer`).ObjectSerializer;
const folder = join(root, 'integrations/datadog');
const read = (path) => readFile(join(folder, path), 'utf8');
const json = async (path) => JSON.parse(await read(path));

/** Reads `object` as a model of the API; everything in it must be known to that model. */
function readAs(type, object, version = 'v1') {
  const model = serializer(version).deserialize(object, type, '');
  const walk = (value, path) => {
    if (value === null || typeof value !== 'object') return;
    assert.ok(!value._unparsed && !('unparsedObject' in value), `${path}: no ${type} reads ${JSON.stringify(value._unparsed ? value : value.unparsedObject ?? value).slice(0, 300)}`);
    assert.deepEqual(Object.keys(value.additionalProperties ?? {}), [], `${path}: members that ${type} does not have`);
    for (const [key, inner] of Object.entries(value)) walk(inner, `${path}.${key}`);
  };
  walk(model, type);
  assert.deepEqual(JSON.parse(JSON.stringify(serializer(version).serialize(model, type, ''))), object, `${type} keeps all of it`);
  return model;
}

/** Datadog's client, talking to `door` instead. */
function configuration(door) {
  const { BaseServerConfiguration } = require('@datadog/datadog-api-client/dist/packages/datadog-api-client-common/servers');
  return client.createConfiguration({ authMethods: { apiKeyAuth: 'dd-key', appKeyAuth: 'dd-app' }, baseServer: new BaseServerConfiguration(door.url, {}) });
}

test("Datadog's API client reads pipeline, dashboard and monitors, and would not read others", async () => {
  readAs('LogsPipeline', await json('log-pipeline.json'));
  readAs('Dashboard', await json('dashboard.json'));
  for (const monitor of await json('monitors.json')) readAs('Monitor', monitor);
  const [monitor] = await json('monitors.json'), pipeline = await json('log-pipeline.json'), dashboard = await json('dashboard.json');
  assert.throws(() => readAs('Monitor', { ...monitor, threshold: 5 }), /does not have/);
  assert.throws(() => readAs('Monitor', { ...monitor, type: 'metric' }), /./);
  pipeline.processors[0].type = 'date';
  assert.throws(() => readAs('LogsPipeline', pipeline), /./);
  dashboard.widgets[0].definition.widgets[0].definition.requests[0].display_type = 'curve';
  assert.throws(() => readAs('Dashboard', dashboard), /./);
});

test("Datadog's dashboards for several services are read by its API client", async (t) => {
  const v = await serve(t, { grpc: false });
  await v.post('/ingest/logs', lines([...turn(), ...turn({ service: 'shop "2"', model: 'claude-sonnet-4', provider: 'anthropic' })]));
  const { code, stdout, stderr } = await run(['dashboards', 'datadog', '--url', v.url]);
  assert.equal(code, 0, stderr);
  assert.equal(readAs('Dashboard', JSON.parse(stdout)).widgets.length, 2);
});

test("Datadog's API client sends them, and gets what the files say to its API", async (t) => {
  const door = await platform(t), config = configuration(door);
  door.answer = { id: 'abc-def-ghi', name: 'x', title: 'x', layout_type: 'ordered', widgets: [], type: 'metric alert', query: 'x' };
  door.status = 200;
  await new v1.DashboardsApi(config).createDashboard({ body: readAs('Dashboard', await json('dashboard.json')) });
  await new v1.LogsPipelinesApi(config).createLogsPipeline({ body: readAs('LogsPipeline', await json('log-pipeline.json')) });
  door.answer = { ...door.answer, id: 4711 };
  await new v1.MonitorsApi(config).createMonitor({ body: readAs('Monitor', (await json('monitors.json'))[0]) });
  assert.deepEqual(door.map(({ method, path }) => `${method} ${path}`), ['POST /api/v1/dashboard', 'POST /api/v1/logs/config/pipelines', 'POST /api/v1/monitor']);
  assert.deepEqual(door.map((got) => got.json), [await json('dashboard.json'), await json('log-pipeline.json'), (await json('monitors.json'))[0]]);
});

test('Datadog: push.sh creates all of it, says where, and takes it away again', async (t) => {
  const door = await platform(t);
  door.status = 200;
  door.answer = { id: 4711 };
  const env = { DD_API_KEY: 'dd-key', DD_APP_KEY: 'dd-app', DD_API_URL: door.url };
  const { code, stdout, stderr } = await run([], { command: join(folder, 'push.sh'), env });
  if (/jq is not installed|curl is not installed/.test(stderr)) return t.skip(stderr.trim());
  assert.equal(code, 0, stderr);
  assert.deepEqual(door.map((got) => got.json), [await json('log-pipeline.json'), await json('dashboard.json'), ...(await json('monitors.json'))]);
  for (const { headers } of door) assert.deepEqual([headers['dd-api-key'], headers['dd-application-key']], ['dd-key', 'dd-app']);
  const paths = stdout.trimEnd().split('\n').map((line) => line.split('  ')[0]);
  assert.deepEqual(paths, ['api/v1/logs/config/pipelines/4711', 'api/v1/dashboard/4711', ...Array(3).fill('api/v1/monitor/4711')]);
  const undo = await run(['--delete', ...paths.slice(0, 3)], { command: join(folder, 'push.sh'), env });
  assert.equal(undo.code, 0, undo.stderr);
  assert.deepEqual(door.slice(5).map(({ method, path }) => `${method} ${path}`), paths.slice(0, 3).map((path) => `DELETE /${path}`));
  door.status = 403;
  door.answer = { errors: ['Forbidden'] };
  const refused = await run([], { command: join(folder, 'push.sh'), env });
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /Forbidden/);
});

test("Datadog: the storefront's three alerts are the same for Vitrine and for Datadog", async () => {
  const ours = [...(await read('monitors.yaml')).matchAll(/- name: "(.*)"\n {2}query: "(.*)"\n {2}message: "(.*)"/g)].map(([, name, query, message]) => ({ name, query, message }));
  assert.equal(ours.length, 3);
  const theirs = await json('monitors.json');
  const counted = (query) => query.replace(/^sum\((\w+)\):(?:count|sum):([\w.]+\{\*\})/, 'sum($1):sum:$2.as_count()');
  assert.deepEqual(theirs.map(({ name, query, message }) => ({ name, query, message })), ours.map((one) => ({ ...one, query: counted(one.query) })));
  for (const { query, options } of theirs) assert.equal(options.thresholds.critical, Number(query.split('> ')[1]));
  for (const file of ['monitors.yaml', 'monitors.json']) {
    const { code, stdout, stderr } = await run(['alerts', 'check', join(folder, file)]);
    assert.equal(code, 0, `${file}: ${stdout}${stderr}`);
  }
});

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
  const pipeline = await json('log-pipeline.json');
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
  const { metrics } = await statsdListener(t, [], [...turn({ fallback: true, attributes: { 'llm.cost.total': 0.01 } })]);
  const sent = new Set(metrics.map((m) => m.name));
  const widgets = (await json('dashboard.json')).widgets.flatMap((group) => group.definition.widgets);
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
  assert.equal(serializer('v2').deserialize([log], 'Array<HTTPLogItem>', '')[0]._unparsed, undefined);
  assert.match(log.ddtags, /service:ai-storefront,provider:openai,model:gpt-4o-mini/);
  assert.ok(!v.log.includes('dd-secret'));
});
