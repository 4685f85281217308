// docs/api.md against the running server: every member of every JSON answer is named where its path is described, and every member that
// the examples there show is really sent.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root, serve, tempDir } from './lib/vitrine.mjs';
import { call, lines, platform, turn } from './lib/storefront.mjs';

/** Sections of the page by their heading's "METHOD /path": {text, named, shown}. */
async function sections() {
  const page = await readFile(join(root, 'docs/api.md'), 'utf8');
  const found = new Map();
  for (const part of page.split(/^## /m).slice(1)) {
    const [heading] = part.split('\n');
    const blocks = part.split('\n').filter((line) => line.startsWith('    ')).join('\n');
    const spans = [...part.matchAll(/`([^`]+)`/g)].map((m) => m[1]).join('\n');
    const named = new Set(`${blocks}\n${spans}`.match(/[A-Za-z_][\w]*/g) ?? []);
    const answers = blocks.split('\n').filter((line) => !/^ {4}#/.test(line)).join('\n');
    found.set(heading.split('?')[0].trim(), { named, shown: new Set([...answers.matchAll(/"([A-Za-z_]\w*)":/g)].map((m) => m[1])) });
  }
  return found;
}

/** Names of members, at any depth; what senders or askers name themselves (attributes, groups, tables of columns) is left out. */
const OPEN = new Set(['attributes', 'resource', 'group']);
function membersOf(value, into = new Set()) {
  if (Array.isArray(value)) for (const item of value) membersOf(item, into);
  else if (value && typeof value === 'object')
    for (const [key, inner] of Object.entries(value)) {
      into.add(key);
      if (!OPEN.has(key)) membersOf(inner, into);
    }
  return into;
}

test('docs/api.md names what the server sends, and the server sends what it shows', async (t) => {
  const pages = await sections();
  const common = pages.get('What all share').named;
  const away = await platform(t);
  away.status = 503;
  const dir = await tempDir(t);
  const alerts = join(dir, 'alerts.yaml');
  const monitor = (name, more) => ({ name, type: 'metric alert', message: 'many @hook', tags: ['team:shop'], ...more });
  await writeFile(alerts, JSON.stringify({
    monitors: [
      monitor('Tokens', { query: 'sum(last_1h):sum:ai_storefront.llm.tokens{*} by {model} > 10', options: { thresholds: { critical: 10, warning: 5, critical_recovery: 4, warning_recovery: 3 } } }),
      monitor('Broken', { query: 'sum(last_1x):sum:ai_storefront.llm.tokens{*} > 10' }),
    ],
    notify: [{ name: 'hook', kind: 'webhook', url: away.url }],
  }));
  const v = await serve(t, {
    args: ['--alerts', alerts, '--push', `otlp=${away.url}`, '--push-interval', '1s', '--forward', `otlp=${away.url}`, '--statsd', '127.0.0.1:9', '--upstream', `openai=${away.url}`,
      '--sample', 'keep=status:error; rate=100%', '--retention', '30d', '--retention', '50GB', '--mask', 'email'],
  });

  const sent = new Map(); // section → members
  const problems = new Set();
  const note = (section, answer) => {
    const page = pages.get(section);
    assert.ok(page, `docs/api.md has no section "## ${section}"`);
    const members = membersOf(answer, sent.get(section) ?? new Set());
    sent.set(section, members);
    for (const name of members) if (!page.named.has(name) && !common.has(name) && !(section === 'GET /api/v1/traces/{id}' && pages.get('GET /api/v1/traces').named.has(name))) problems.add(`${section} sends ${name}, which is not named there`);
    return answer;
  };
  const get = async (section, path) => note(section, await v.get(path));
  const post = async (section, body, path = section.split(' ')[1]) => note(section, await v.post(path, body));

  // Turns with all that they can have, calls of two services, of models with and without a price, a score, an embedding wrapper.
  const thread = { 'thread.id': 'test-thread-123', 'user.id': 'test-user', 'chat.turn_id': 'turn-1' };
  const traceId = 'ab'.repeat(16), rootId = 'cd'.repeat(8);
  await v.post('/ingest/logs', lines([
    ...turn({ fallback: true, attributes: thread }), ...turn({ attributes: { ...thread, 'llm.cost.total': 0.01 } }), call({ error: 'HTTP 500', attributes: thread }), call({ attributes: { 'thread.id': 'another' } }),
  ]));
  const value = (x) => (typeof x === 'number' ? (Number.isInteger(x) ? { intValue: x } : { doubleValue: x }) : { stringValue: x });
  const list = (all) => Object.entries(all).map(([key, x]) => ({ key, value: value(x) }));
  const now = BigInt(Date.now() - 60_000) * 1_000_000n;
  const span = (service, spanId, parentSpanId, name, ms, attributes, more) => ({
    resource: { attributes: list({ 'service.name': service }) },
    scopeSpans: [{ spans: [{ traceId, spanId, parentSpanId, name, kind: 3, startTimeUnixNano: String(now + 123n), endTimeUnixNano: String(now + BigInt(ms) * 1_000_000n), attributes: list(attributes), status: { code: 1 }, ...more }] }],
  });
  const usage = { 'gen_ai.operation.name': 'chat', 'gen_ai.provider.name': 'anthropic', 'gen_ai.request.model': 'claude-sonnet-4-5', 'gen_ai.usage.input_tokens': 1200, 'gen_ai.usage.output_tokens': 80,
    'gen_ai.usage.cache_read.input_tokens': 700, 'gen_ai.usage.cache_creation.input_tokens': 200, 'gen_ai.usage.reasoning.output_tokens': 30, 'gen_ai.response.finish_reasons': 'stop', 'gen_ai.request.temperature': 0.5,
    'gen_ai.input.messages': JSON.stringify([{ role: 'user', content: 'Which jacket?' }]), 'gen_ai.output.messages': JSON.stringify([{ role: 'assistant', content: 'The Alpine Shell' }]), 'vitrine.sample_rate': 0.5, ...thread };
  await v.post('/v1/traces', { resourceSpans: [
    span('web', rootId, '', 'GET /', 900, {}),
    span('ai-storefront', 'ce'.repeat(8), rootId, 'agent', 800, usage),
    span('ai-storefront', 'cf'.repeat(8), 'ce'.repeat(8), 'chat', 700, usage, { events: [{ name: 'said', timeUnixNano: String(now + 5n), attributes: list({ a: 1 }) }] }),
  ] });
  await v.fetch('/v1/traces', { method: 'POST', body: '{broken', headers: { 'content-type': 'application/json' } });
  await post('POST /api/v1/scores', { trace_id: traceId, name: 'helpful', value: 1, comment: 'yes', user_id: 'test-user' });
  await post('POST /api/v1/scores', { trace_id: traceId, span_id: 'cf'.repeat(8), name: 'exact', value: 0.5, comment: 'so', user_id: 'test-user' });
  await get('POST /api/v1/scores', `/api/v1/scores?trace_id=${traceId}`);

  const first = await get('GET /api/v1/traces', '/api/v1/traces?limit=1');
  await get('GET /api/v1/traces', `/api/v1/traces?limit=1000&cursor=${encodeURIComponent(first.next)}`);
  await get('GET /api/v1/traces', '/api/v1/traces?limit=1000');
  for (const { trace_id } of (await v.get('/api/v1/traces?limit=1000')).traces) await get('GET /api/v1/traces/{id}', `/api/v1/traces/${trace_id}`);
  await get('GET /api/v1/threads', '/api/v1/threads?limit=1');
  await get('GET /api/v1/threads/{id}', '/api/v1/threads/test-thread-123');
  await get('GET /api/v1/users', '/api/v1/users');
  await post('POST /api/v1/query', { from: '-24h', to: 'now', where: 'kind:llm', select: ['count', 'error_rate', 'p95(duration_ms)', 'histogram(duration_ms)'], group_by: ['model'], interval: '1h', limit: 1 });
  await get('GET /api/v1/facets', '/api/v1/facets?fields=model,status&limit=1');
  await get('GET /api/v1/overview', '/api/v1/overview?compare=1&lines=1');
  await get('GET /api/v1/services', '/api/v1/services');
  await post('POST /api/v1/sql', { sql: 'SELECT model, count(*) FROM spans GROUP BY model', limit: 1 });
  await get('GET /api/v1/prices', '/api/v1/prices');
  await post('POST /api/v1/prices/recompute', { dry_run: true });
  await post('POST /api/v1/alerts/silences', { monitor: 'Tokens', group: 'model:gpt-4o-mini', minutes: 5, reason: 'sale' });
  await v.until('/api/v1/alerts', (b) => b.monitors[0].groups.some((g) => g.state === 'ALERT'), { timeoutMs: 60_000 });
  const { silences } = await get('GET /api/v1/alerts', '/api/v1/alerts');
  note('DELETE /api/v1/alerts/silences/{id}', await (await v.fetch(`/api/v1/alerts/silences/${silences[0].id}`, { method: 'DELETE' })).json());
  await v.until('/api/v1/status', (s) => s.pushes[0].problem && s.ingest.last_error, { timeoutMs: 60_000 });
  await get('GET /api/v1/status', '/api/v1/status');
  await get('GET /healthz', '/healthz');
  await get('GET /healthz', '/readyz');
  const bad = await v.fetch('/api/v1/traces?q=status:bad');
  note('What all share', await bad.json());
  await post('POST /api/v1/delete', { trace_id: traceId });
  // Last, since from here on the server asks for it.
  const { key } = await post('POST /api/v1/keys', { name: 'boss', scopes: 'ingest,read,admin' });
  const admin = { authorization: `Bearer ${key}` };
  const made = note('POST /api/v1/keys', await v.post('/api/v1/keys', { name: 'ops', scopes: 'ingest,read', project: 'shop' }, admin));
  note('DELETE /api/v1/keys/{id}', await (await v.fetch(`/api/v1/keys/${made.id}`, { method: 'DELETE', headers: admin })).json());
  note('GET /api/v1/keys', await v.get('/api/v1/keys', admin));

  // What the examples show and nothing sent. Members of requests stand there, too.
  const asked = { 'POST /api/v1/query': ['from', 'to', 'where', 'select', 'group_by', 'limit', 'order_by', 'interval', 'model'], 'POST /api/v1/sql': ['sql', 'limit'],
    'POST /api/v1/scores': ['score_id'], 'POST /api/v1/prices/recompute': ['from', 'to', 'model', 'dry_run'], 'POST /api/v1/delete': ['user_id', 'thread_id', 'trace_id', 'project'],
    'POST /api/v1/alerts/silences': ['monitor', 'group', 'minutes', 'reason'], 'POST /api/v1/keys': ['name', 'scopes', 'project'] };
  // What depends on time or on a fault that this test does not make.
  const rare = { 'GET /api/v1/traces/{id}': ['estimated', 'project'] };
  for (const [section, members] of sent) {
    const never = [...pages.get(section).shown].filter((name) => !members.has(name) && !(asked[section] ?? []).includes(name) && !(rare[section] ?? []).includes(name));
    if (section !== 'What all share') for (const name of never) problems.add(`${section} shows ${name}, which is never sent`);
  }
  assert.deepEqual([...problems], []);
});

test('docs/api.md has a section for every path that answers JSON', async (t) => {
  const v = await serve(t);
  const pages = await sections();
  const headings = [...pages.keys()].map((heading) => heading.replace(/^(GET|POST|DELETE) /, ''));
  const { paths } = await v.get('/api/openapi.json');
  const elsewhere = /^\/(v1|ingest|otel|proxy|metrics|api\/public)\b|^\/api\/(openapi\.json|v1\/(live|export))$/; // ingest, and what is no JSON object
  const page = await readFile(join(root, 'docs/api.md'), 'utf8');
  for (const path of Object.keys(paths).filter((p) => !elsewhere.test(p))) assert.ok(headings.includes(path) || page.includes(`\`GET ${path}`) || page.includes(`\`DELETE ${path}`), `${path} is not described`);
});
