// Metrics sent out: OTLP, read with OpenTelemetry's own protobuf code; remote write, taken by Debian's Prometheus.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { atEnd, run, serve, tempDir } from './lib/vitrine.mjs';
import { call, lines, platform, turn } from './lib/storefront.mjs';

const { opentelemetry } = createRequire(import.meta.url)('@opentelemetry/otlp-transformer/build/src/generated/root.js');
const { ExportMetricsServiceRequest } = opentelemetry.proto.collector.metrics.v1;
const hasPrometheus = (await run(['--version'], { command: 'prometheus' }).catch(() => ({ code: 1 }))).code === 0;

/** {metric name: {unit, points: [{labels, …}], sum|histogram}} of one body. */
function decode(body) {
  const request = ExportMetricsServiceRequest.toObject(ExportMetricsServiceRequest.decode(body), { longs: Number, enums: String, bytes: String });
  const metrics = {};
  for (const { resource, scopeMetrics } of request.resourceMetrics)
    for (const { scope, metrics: list } of scopeMetrics)
      for (const metric of list) {
        const data = metric.sum ?? metric.histogram;
        const labelled = data.dataPoints.map((point) => ({ ...point, labels: Object.fromEntries(point.attributes.map((a) => [a.key, a.value.stringValue])) }));
        const of = (metrics[metric.name] ??= { unit: metric.unit, kind: metric.sum ? 'sum' : 'histogram', monotonic: metric.sum?.isMonotonic, temporality: data.aggregationTemporality, scope, services: [], points: [] });
        of.services.push(resource.attributes.find((a) => a.key === 'service.name').value.stringValue);
        of.points.push(...labelled);
      }
  return metrics;
}

test('OTLP metrics: an OpenTelemetry reader finds the GenAI histograms and the counters, cumulative, with exemplars', async (t) => {
  const target = await platform(t);
  const before = Date.now();
  const v = await serve(t, {
    grpc: false, args: ['--push', `otlp=${target.url}|x-tenant: shop`, '--push-interval', '1s'],
    env: { OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20s3cret, x-tenant=other' },
  });
  const traceId = 'ab'.repeat(16);
  await v.post('/ingest/logs', lines([call({ traceId, ms: 150 }), call({ error: 'HTTP 429', ms: 90000 }), ...turn({ fallback: true }), call({ service: 'search', provider: 'anthropic', model: 'claude' })]));
  await target.until((got) => got.some((g) => decode(g.body)['search.llm.requests']));
  const got = target.at(-1), metrics = decode(got.body);
  assert.equal(got.path, '/v1/metrics');
  assert.equal(got.headers['content-type'], 'application/x-protobuf');
  assert.equal(got.headers.authorization, 'Bearer s3cret');
  assert.equal(got.headers['x-tenant'], 'shop'); // what stands at the target wins

  const duration = metrics['gen_ai.client.operation.duration'];
  assert.deepEqual([duration.unit, duration.kind, duration.temporality, duration.scope.name], ['s', 'histogram', 'AGGREGATION_TEMPORALITY_CUMULATIVE', 'vitrine']);
  assert.deepEqual([...new Set(duration.services)].sort(), ['ai-storefront', 'search']);
  const ok = duration.points.find((p) => p.labels['service.name'] === 'ai-storefront' && p.labels.status === 'OK');
  assert.deepEqual(ok.explicitBounds, Array.from({ length: 14 }, (_, i) => Math.round(0.01 * 2 ** i * 100) / 100));
  assert.equal(ok.bucketCounts.length, 15);
  assert.equal(ok.bucketCounts.reduce((a, b) => a + b), ok.count);
  assert.equal(ok.count, 2);
  assert.equal(ok.bucketCounts[4], 1); // 150 ms lie in (0.08, 0.16]
  const exemplar = ok.exemplars.find((e) => Buffer.from(e.traceId, 'base64').toString('hex') === traceId);
  assert.equal(exemplar.asDouble, 0.15);
  assert.ok(ok.startTimeUnixNano / 1e6 >= before - 1000 && ok.startTimeUnixNano < ok.timeUnixNano);
  const failed = duration.points.find((p) => p.labels.status === 'ERROR');
  assert.equal(failed.labels['error.type'], '_OTHER');
  assert.equal(failed.bucketCounts[14], 1); // beyond the last bound

  const usage = metrics['gen_ai.client.token.usage'];
  assert.equal(usage.points.find((p) => p.labels['gen_ai.token.type'] === 'input' && p.labels['gen_ai.request.model'] === 'claude').sum, 159);
  assert.equal(metrics['gen_ai.server.time_to_first_token'].unit, 's');
  const value = (name, where = () => true) => metrics[name].points.filter((p) => where(p.labels)).reduce((sum, p) => sum + p.asDouble, 0);
  assert.equal(value('ai_storefront.llm.requests'), 4);
  assert.equal(value('ai_storefront.llm.errors'), 2);
  assert.equal(value('search.llm.errors'), 0);
  assert.equal(value('search.llm.tokens', (l) => l.type === 'output'), 237);
  assert.equal(value('ai_storefront.chat.turns'), 1);
  assert.equal(value('ai_storefront.chat.fallbacks'), 1);
  assert.ok(metrics['ai_storefront.llm.requests'].monotonic);

  // Cumulative: the next request has it all, with the same start.
  await v.post('/ingest/logs', lines([call({ service: 'search', provider: 'anthropic', model: 'claude' })]));
  const count = (g) => decode(g.body)['search.llm.requests']?.points[0];
  await target.until((all) => count(all.at(-1))?.asDouble === 2);
  assert.equal(count(target.at(-1)).startTimeUnixNano, ok.startTimeUnixNano);
  assert.doesNotMatch(v.log, /s3cret/);
});

test('a target that is away costs nothing: what it missed is in the request that it takes, and the last comes at the end', async (t) => {
  const target = await platform(t);
  target.status = 503;
  const v = await serve(t, { grpc: false, args: ['--push', `otlp=${target.url}`, '--push-interval', '1s'] });
  await v.post('/ingest/logs', lines([call()]));
  const { pushes } = await v.until('/api/v1/status', (s) => s.pushes[0].requests_failed >= 2);
  assert.deepEqual([pushes[0].name, pushes[0].problem], ['otlp-1', 'it answered 503']);
  assert.match(await v.get('/metrics'), /^vitrine_push_requests_failed_total{target="otlp-1"} [1-9]/m);
  target.status = 200;
  await v.until('/api/v1/status', (s) => s.pushes[0].requests_sent >= 1 && !s.pushes[0].problem);
  assert.equal(decode(target.at(-1).body)['ai_storefront.llm.requests'].points[0].asDouble, 1);
  await v.post('/ingest/logs', lines([call(), call()]));
  await v.stop();
  assert.equal(decode(target.at(-1).body)['ai_storefront.llm.requests'].points[0].asDouble, 3);
  assert.equal(v.log.match(/pushing metrics to otlp-1 fails/g).length, 1);
  assert.match(v.log, /pushing metrics to otlp-1 works again/);
});

test('a target with a mistake stops the start and is named', async (t) => {
  const start = async (push, env) => (await run(['serve', '--data', await tempDir(t), '--listen', '127.0.0.1:0', '--grpc', '', '--push', push], { env })).stderr;
  assert.match(await start('graphite=http://x'), /--push: 'graphite' is no kind of target[\s\S]*otlp=URL or prometheus=URL/);
  assert.match(await start('otlp=ftp://x'), /--push otlp: 'ftp:\/\/x' is no http or https address/);
  const bad = await start('otlp=http://x', { OTEL_EXPORTER_OTLP_HEADERS: '{"authorization": ["s3cret"]}' });
  assert.match(bad, /OTEL_EXPORTER_OTLP_HEADERS: expected name=value/);
  assert.doesNotMatch(bad, /s3cret/);
});

test('remote write: a real Prometheus answers with the numbers of /metrics', { skip: !hasPrometheus && "Debian's package prometheus is not installed" }, async (t) => {
  const dir = await tempDir(t), probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const at = `127.0.0.1:${probe.address().port}`;
  await new Promise((done) => probe.close(done));
  await writeFile(join(dir, 'prometheus.yml'), 'scrape_configs: []\n');
  const child = spawn('prometheus', [`--config.file=${dir}/prometheus.yml`, `--storage.tsdb.path=${dir}/data`, `--web.listen-address=${at}`, '--web.enable-remote-write-receiver'], { stdio: ['ignore', 'ignore', 'pipe'] });
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text) => (log += text));
  const end = once(child, 'close');
  atEnd(t, async () => (child.kill('SIGTERM'), await end));

  const v = await serve(t, { grpc: false, args: ['--push', `prometheus=http://${at}`, '--push-interval', '1s'] });
  const odd = 'say "hi" \\ back\nslash {le="1"}';
  await v.post('/ingest/logs', lines([...Array.from({ length: 60 }, (_, i) => call({ model: `model-${i}` })), call({ model: odd, ms: 150 }), ...turn({ fallback: true })]));
  const query = async (promql) => (await (await fetch(`http://${at}/api/v1/query?query=${encodeURIComponent(promql)}`)).json()).data?.result ?? [];
  const until = async (promql, expected) => {
    for (let i = 0, last; i < 1200; i++) {
      last = await query(promql).catch((error) => String(error));
      if (last[0]?.value?.[1] === expected) return last;
      if (i === 1199) assert.fail(`${promql} is ${JSON.stringify(last)}, not ${expected}\n${v.log}\n${log.slice(-3000)}`);
      await new Promise((done) => setTimeout(done, 100));
    }
  };
  await until('sum(ai_storefront_llm_requests_total)', '63'); // over 5,000 series: several requests
  const [series] = await query('ai_storefront_llm_requests_total{model=~"(?s)say.*"}');
  assert.equal(series.metric.model, odd);
  assert.equal(series.metric.job, 'vitrine');
  await until(`ai_storefront_llm_duration_seconds_bucket{model=~"(?s)say.*",le="0.16"}`, '1');
  await until('histogram_quantile(0.5, sum by (le) (gen_ai_client_token_usage_bucket{gen_ai_token_type="input"})) > 64 < bool 256', '1');
  await until('vitrine_build_info', '1');
  await v.post('/ingest/logs', lines([call({ model: odd })]));
  await until('sum(ai_storefront_llm_requests_total)', '64');
  const { pushes } = await v.get('/api/v1/status');
  assert.deepEqual([pushes[0].name, pushes[0].requests_failed, pushes[0].problem], ['prometheus-1', 0, undefined]);
});
