// Costs of stored spans by the present prices: `vitrine prices recompute` on a directory and by a server, and its route.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'node:test';
import { run, serve, tempDir } from './lib/vitrine.mjs';

const DAY_MS = 86_400_000;

/** A log line of a call to a model: 1,000 tokens in, 100 out, so many days ago. */
function call(n, model, { daysAgo = 0, cost } = {}) {
  return JSON.stringify({
    timestamp: new Date(Date.now() - daysAgo * DAY_MS - n * 1000).toISOString(),
    level: 'INFO',
    message: `TRACE: call ${n}`,
    trace: { traceId: n.toString(16).padStart(32, '0'), spanId: n.toString(16).padStart(16, '0'), operation: 'chat', duration: '40ms', status: 'OK' },
    attributes: {
      'llm.vendor': 'house',
      'llm.request.model': model,
      'llm.usage.prompt_tokens': 1000,
      'llm.usage.completion_tokens': 100,
      'user.id': `user ${n}`,
      ...(cost === undefined ? {} : { 'llm.cost.total': cost }),
    },
  });
}

const lines = [
  call(1, 'house-large'),
  call(2, 'house-large', { daysAgo: 3 }),
  call(3, 'house-small'),
  call(4, 'house-large', { cost: 0.5 }), // its sender knows better
  call(5, 'of no price'),
].join('\n');
const before = '[{model: house-large, input: 10, output: 20}, {model: house-small, input: 1, output: 2}]';
const after = '[{model: house-large, input: 5, output: 10}]';
const expected = {
  before: { 1: 0.012, 2: 0.012, 3: 0.0012, 4: 0.5, 5: undefined },
  after: { 1: 0.006, 2: 0.006, 3: undefined, 4: 0.5, 5: undefined },
};
const SUMMARY = { spans: 4, changed: 3, uncosted: 1, unpriced: 2, reported: 1, old_usd: 0.0252, new_usd: 0.012 };

const near = (a, b) => a === b || Math.abs(a - b) < 1e-9;

function costsAre(spans, want, what) {
  assert.equal(spans.length, 5, what);
  for (const span of spans) {
    const n = parseInt(span.span_id, 16);
    assert.ok(near(span.cost_usd, want[n]), `${what}: span ${n} costs ${span.cost_usd}, expected ${want[n]}`);
  }
}

function summaryIs(got, { dry, segments }) {
  for (const [key, value] of Object.entries(SUMMARY)) assert.ok(near(got[key], value), `${key} is ${got[key]}, expected ${value}`);
  assert.equal(got.dry_run, dry);
  assert.ok(segments(got.segments), `segments: ${got.segments}`);
  const large = got.models.find((m) => m.model === 'house-large');
  assert.deepEqual([large.provider, large.spans, large.changed, large.reported], ['house', 2, 2, 1]);
  assert.ok(near(large.old_usd, 0.024) && near(large.new_usd, 0.012));
  assert.equal(got.models[0].model, 'house-large', 'what costs most comes first');
}

const exported = async (v) => (await (await v.fetch('/api/v1/export?format=ndjson&from=-30d')).text()).trim().split('\n').map(JSON.parse);
const withoutCost = (spans) => spans.map(({ cost_usd, ...rest }) => rest).sort((a, b) => (a.span_id < b.span_id ? -1 : 1));

test('a server computes costs anew by the file as it is now', async (t) => {
  const dir = await tempDir(t);
  const file = join(dir, 'prices.yaml');
  await writeFile(file, before);
  const v = await serve(t, { args: ['--prices', file] });
  await v.post('/ingest/logs', lines);
  await v.post('/api/v1/scores', { trace_id: '1'.padStart(32, '0'), name: 'liked', value: 1 });
  const old = await exported(v);
  costsAre(old, expected.before, 'as they came');

  await writeFile(file, after);
  const args = ['prices', 'recompute', '--url', v.url, '--json'];
  const looked = await run([...args, '--dry-run']);
  assert.equal(looked.code, 0, looked.stderr);
  summaryIs(JSON.parse(looked.stdout), { dry: true, segments: (n) => n === 0 });
  costsAre(await exported(v), expected.before, 'after a dry run');

  const done = await run(args);
  assert.equal(done.code, 0, done.stderr);
  summaryIs(JSON.parse(done.stdout), { dry: false, segments: (n) => n >= 1 });
  const anew = await exported(v);
  costsAre(anew, expected.after, 'by the new prices');
  assert.deepEqual(withoutCost(anew), withoutCost(old), 'nothing but the cost is another');
  const { scores } = await v.get('/api/v1/scores?name=liked');
  assert.equal(scores.length, 1);
  const { spans } = await v.get(`/api/v1/traces/${'1'.padStart(32, '0')}`);
  assert.ok(near(spans[0].cost_usd, 0.006), 'other answers know it too');

  // What comes in from now on is priced by the new file, and `GET /api/v1/prices` shows it.
  await v.post('/ingest/logs', call(6, 'house-large'));
  const late = (await exported(v)).find((span) => parseInt(span.span_id, 16) === 6);
  assert.ok(near(late.cost_usd, 0.006));
  const { prices } = await v.get('/api/v1/prices');
  assert.ok(!prices.some((price) => price.model === 'house-small'));

  const table = await run(['prices', 'recompute', '--url', v.url]);
  assert.match(table.stdout, /MODEL[\s\S]*house-large[\s\S]*0 of 5 costs changed, from \$0\.0180 to \$0\.0180\./);
});

test('time and model say which spans are meant', async (t) => {
  const dir = await tempDir(t);
  const file = join(dir, 'prices.yaml');
  await writeFile(file, before);
  const v = await serve(t, { args: ['--prices', file] });
  await v.post('/ingest/logs', lines);
  await writeFile(file, after);
  const recent = await v.post('/api/v1/prices/recompute', { from: '-1d', dry_run: true });
  assert.equal(recent.spans, 3);
  const small = await v.post('/api/v1/prices/recompute', { model: '*-SMALL' });
  assert.deepEqual([small.spans, small.changed, small.models.length], [1, 1, 1]);
  assert.deepEqual([small.old_usd, small.new_usd], [0.0012, undefined], 'what is not known is absent');
  costsAre(await exported(v), { ...expected.before, 3: undefined }, 'only the small model');
});

test('a directory is worked on without a server', async (t) => {
  const dir = await tempDir(t);
  const [data, file] = [join(dir, 'data'), join(dir, 'prices.yaml')];
  await writeFile(file, before);
  const made = await run(['import', '--data', data, '--prices', file, '-'], { input: lines });
  assert.equal(made.code, 0, made.stderr);
  await writeFile(file, after);
  const args = ['prices', 'recompute', '--data', data, '--prices', file];
  const looked = await run([...args, '-n', '--json']);
  assert.equal(looked.code, 0, looked.stderr);
  summaryIs(JSON.parse(looked.stdout), { dry: true, segments: (n) => n === 0 });
  const done = await run(args);
  assert.equal(done.code, 0, done.stderr);
  assert.match(done.stdout, /3 of 4 costs changed, from \$0\.0252 to \$0\.0120\./);
  const out = await run(['export', '--data', data, '--format', 'ndjson', '--from', '-30d']);
  costsAre(out.stdout.trim().split('\n').map(JSON.parse), expected.after, 'in the directory');
});

test('mistakes are named, and change nothing', async (t) => {
  const dir = await tempDir(t);
  const file = join(dir, 'prices.yaml');
  await writeFile(file, before);
  const v = await serve(t, { args: ['--prices', file] });
  await v.post('/ingest/logs', lines);
  const refused = async (body, words) =>
    assert.rejects(v.post('/api/v1/prices/recompute', body), (e) => e.status === 400 && words.test(e.text), words);
  await refused({ from: 'yesterday' }, /from is \\"yesterday\\"; expected/);
  await refused({ modell: 'x' }, /\\"modell\\" is no field/);
  await refused({ from: 2000, to: 1000 }, /to lies not after from/);
  await writeFile(file, '[{model: house-large, inputt: 5}]');
  await refused({}, /prices\.yaml:1: key \\"inputt\\" is not known/);
  costsAre(await exported(v), expected.before, 'after mistakes');
  const wrong = await run(['prices', 'recompute', '--url', v.url, '--from', 'soon']);
  assert.deepEqual([wrong.code, /--from is "soon"/.test(wrong.stderr)], [2, true]);
});

test('a key needs the scope admin, and one of a project reaches no further', async (t) => {
  const dir = await tempDir(t);
  const [data, file] = [join(dir, 'data'), join(dir, 'prices.yaml')];
  await writeFile(file, before);
  const key = async (...args) => {
    const made = await run(['keys', 'add', ...args, '--data', data, '--json']);
    assert.equal(made.code, 0, made.stderr);
    return { authorization: `Bearer ${JSON.parse(made.stdout).key}` };
  };
  const reader = await key('reader', '--scopes', 'read');
  const ours = await key('ours', '--scopes', 'ingest,read,admin', '--project', 'ours');
  const theirs = await key('theirs', '--scopes', 'ingest,read,admin', '--project', 'theirs');
  const v = await serve(t, { dir: data, args: ['--prices', file, '--require-key'] });
  await v.post('/ingest/logs', call(1, 'house-large'), ours);
  await v.post('/ingest/logs', call(2, 'house-large'), theirs);
  await writeFile(file, after);
  await assert.rejects(v.post('/api/v1/prices/recompute', {}, reader), (e) => e.status === 403);
  await assert.rejects(v.post('/api/v1/prices/recompute', {}), (e) => e.status === 401);
  const done = await v.post('/api/v1/prices/recompute', {}, ours);
  assert.deepEqual([done.spans, done.changed], [1, 1]);
  const cost = async (headers) => (await (await v.fetch('/api/v1/export?format=ndjson', { headers })).json()).cost_usd;
  assert.ok(near(await cost(ours), 0.006));
  assert.ok(near(await cost(theirs), 0.012));
});
