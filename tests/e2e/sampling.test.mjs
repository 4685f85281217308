// Tail sampling in the real program: errors and scored traces stay, of the rest a part, which counts for the whole.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { run, serve, tempDir } from './lib/vitrine.mjs';

const TRACES = 2000;
const hex = (n, width) => n.toString(16).padStart(width, '0');

const line = (n) => JSON.stringify({
  timestamp: new Date().toISOString(), level: 'INFO', message: 'TRACE: chat',
  trace: { traceId: hex(n + 1, 32), spanId: hex(n + 1, 16), operation: 'chat', duration: '12ms', status: n % 100 ? 'OK' : 'ERROR' },
  attributes: { 'service.name': 'shop' }, events: [],
});

test('traces are sampled when they become a file, and counts stay right, over a kill', async (t) => {
  const dir = await tempDir(t);
  const args = ['--sample', 'keep=status:error; keep=scored; rate=25%', '--seal-after', '2s'];
  let v = await serve(t, { dir, grpc: false, args });
  await v.post('/ingest/logs', Array.from({ length: TRACES }, (_, n) => line(n)).join('\n'));
  await v.post('/api/v1/scores', { trace_id: hex(7, 32), name: 'helpful', value: 1 });
  await v.until('/api/v1/status', (s) => s.store.memtable_rows === 0 && s.store.sampled_out > 0);
  const { store, sampling } = await v.get('/api/v1/status');
  assert.equal(sampling, 'keep status:error; keep scored; 25% of the rest');
  assert.equal(store.spans_total + store.sampled_out, TRACES);
  assert.ok(store.spans_total > 400 && store.spans_total < 640, `${store.spans_total} spans stay`);
  assert.match(await v.get('/metrics'), new RegExp(`^vitrine_store_spans_sampled_out_total ${store.sampled_out}$`, 'm'));

  const ask = async (where) => (await v.post('/api/v1/query', { where, select: ['count'] })).series[0].points[0][1];
  const before = await ask('');
  await v.kill();
  v = await serve(t, { dir, grpc: false, args });
  assert.equal((await v.get('/api/v1/status')).store.spans_total, store.spans_total);
  assert.equal(await ask(''), before);
  assert.ok(Math.abs(before - TRACES) < 300, `the count is ${before}`);
  assert.equal(await ask('status:error'), TRACES / 100);
  for (let n = 0; n < TRACES; n += 100) assert.equal((await v.get(`/api/v1/traces/${hex(n + 1, 32)}`)).spans.length, 1);
  const scored = await v.get(`/api/v1/traces/${hex(7, 32)}`);
  assert.equal(scored.spans[0].sample_rate, undefined);
});

test('a rule with a mistake stops the start and is named', async (t) => {
  const { code, stderr } = await run(['serve', '--data', await tempDir(t), '--listen', '127.0.0.1:0', '--grpc', '', '--sample', 'keep=statos:error; rate=1']);
  assert.notEqual(code, 0);
  assert.match(stderr, /sampling: column 6: there is no field 'statos'/);
});
