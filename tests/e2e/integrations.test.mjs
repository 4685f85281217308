// StatsD, OTLP from server to server, and systemd. Each other platform has a file of its own beside this one.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { program, root, run, serve, tempDir } from './lib/vitrine.mjs';
import { call, lines, platform, statsdListener, turn } from './lib/storefront.mjs';

const read = (path) => readFile(join(root, 'integrations', path), 'utf8');

test('OTLP goes onward to a second server, which then holds the same trace', async (t) => {
  const second = await serve(t), first = await serve(t, { args: ['--forward', `otlp=${second.url}`] });
  const spans = turn({ fallback: true }), path = `/api/v1/traces/${spans[0].trace.traceId}`;
  await first.post('/ingest/logs', lines(spans));
  await second.until('/api/v1/traces', (b) => b.traces.some((trace) => trace.span_count === spans.length));
  const shape = ({ spans }) => spans.map(({ span_id, parent_span_id, operation, kind, service, start, duration_ms, status, error, model, provider, tokens, user_id, thread_id }) =>
    ({ span_id, parent_span_id, operation, kind, service, start, duration_ms, status, error, model, provider, tokens, user_id, thread_id })).sort((a, b) => (a.span_id < b.span_id ? -1 : 1));
  assert.deepEqual(shape(await second.get(path)), shape(await first.get(path)));
});

test('StatsD: a DogStatsD listener takes every datagram', async (t) => {
  const { metrics, datagrams } = await statsdListener(t, [], Array.from({ length: 60 }, () => turn({ fallback: true })).flat());
  for (const datagram of datagrams) assert.ok(datagram.length <= 1432, `${datagram.length} bytes`);
  const sum = (name) => metrics.filter((m) => m.name === name).reduce((total, m) => total + m.value, 0);
  assert.deepEqual(['llm.requests', 'llm.errors', 'chat.turns', 'chat.fallbacks'].map((name) => sum(`ai_storefront.${name}`)), [120, 60, 60, 60]);
  const duration = metrics.find((m) => m.name === 'ai_storefront.llm.duration');
  assert.deepEqual([duration.value, duration.type], [4283, 'd']);
  for (const tag of ['service:ai-storefront', 'model:gpt-4o-mini', 'provider:openai']) assert.ok(duration.tags.includes(tag), tag);
});

test('StatsD: plain datagrams have neither tags nor distributions', async (t) => {
  const { metrics } = await statsdListener(t, ['--statsd-plain'], turn());
  assert.ok(metrics.length >= 4);
  for (const metric of metrics) assert.deepEqual([metric.tags, ['c', 'g', 'ms'].includes(metric.type)], [[], true], JSON.stringify(metric));
});

test('systemd takes the unit', async (t) => {
  const file = join(await tempDir(t), 'vitrine.service');
  await writeFile(file, (await read('systemd/vitrine.service')).replace('/usr/local/bin/vitrine', program));
  const got = await run(['verify', file], { command: 'systemd-analyze' }).catch(() => undefined);
  if (!got) return t.skip('systemd-analyze is not installed');
  const ours = got.stderr.split('\n').filter((line) => line.includes('vitrine.service'));
  assert.deepEqual([got.code, ours], [0, []], got.stderr);
});
