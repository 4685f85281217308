// The data directory is open: DuckDB reads every segment as it lies, finds the rows and values that the API tells of, and its
// filters on times, ids and words (which go by our statistics) find what is there.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { serve } from './lib/vitrine.mjs';

const TRACES = 700;
const models = ['gpt-4o', 'gpt-4o-mini', 'claude-sonnet-4', 'gemini-2.5-pro', undefined];
const base = BigInt(Date.now() - 3_600_000) * 1_000_000n;

const hex = (n, digits) => n.toString(16).padStart(digits, '0');
const text = (key, value) => ({ key, value: { stringValue: value } });
const number = (key, value) => ({ key, value: { intValue: String(value) } });
const real = (key, value) => ({ key, value: { doubleValue: value } });

/** A turn and two calls, with fields that are there, missing, odd and long, as n goes. */
function trace(n) {
  const start = base + BigInt(n) * 1_000_003n;
  const span = (i, name, attributes, more = {}) => ({
    traceId: hex(n * 7919 + 1, 32), spanId: hex(n * 3 + i + 1, 16), parentSpanId: i ? hex(n * 3 + 1, 16) : undefined, name,
    startTimeUnixNano: String(start + BigInt(i) * 1000n), endTimeUnixNano: String(start + BigInt(n * 1_234_567 + i)), attributes, ...more,
  });
  const model = models[n % models.length];
  return [
    span(0, 'chat.continue_thread', [text('user.id', `user ${n % 37}`), text('thread.id', `thread-${n % 91}`), text('chat.turn_id', `turn-${n}`)]),
    span(1, 'openai.chat.completions.create', [
      ...(model ? [text('gen_ai.request.model', model), text('gen_ai.system', 'openai')] : []),
      number('gen_ai.usage.input_tokens', n + 1), number('gen_ai.usage.output_tokens', (n * 7) % 900),
      ...(n % 3 ? [real('gen_ai.request.temperature', n % 10 / 10)] : []),
      text('gen_ai.prompt.0.role', 'user'), text('gen_ai.prompt.0.content', `Frage ${n}: „Regenjacke“ 🧥 ${'x'.repeat(n % 400)}`),
      text('gen_ai.completion.0.content', 'An answer.\n'.repeat(n % 50)), text('region', `r${n % 4}`), number('try', n % 3),
    ], { events: [{ timeUnixNano: String(start + 5n), name: 'gen_ai.first_token', attributes: [] }] }),
    span(2, 'stock.lookup', [text('gen_ai.tool.name', 'stock')], n % 5 ? {} : { status: { code: 2, message: `no stock of ${n}` } }),
  ];
}

async function fill(server) {
  for (let n = 0; n < TRACES; n += 50) {
    const spans = Array.from({ length: 50 }, (_, i) => trace(n + i)).flat();
    await server.post('/v1/traces', { resourceSpans: [{ resource: { attributes: [text('service.name', 'ai-storefront')] }, scopeSpans: [{ spans }] }] });
    if (n % 100 === 50) await server.until('/api/v1/status', ({ store }) => store.memtable_rows === 0);
  }
}

async function segmentsOf(dir) {
  const names = await readdir(join(dir, 'spans'), { recursive: true });
  return names.filter((name) => name.endsWith('.parquet')).map((name) => join(dir, 'spans', name));
}

const columns = ['trace_id', 'span_id', 'parent_span_id', 'start_ns', 'duration_ns', 'ttft_ns', 'tokens_input', 'tokens_output', 'tokens_cached', 'tokens_cache_write',
  'tokens_reasoning', 'cost_usd', 'temperature', 'sample_rate', 'kind', 'status', 'flags', 'project', 'service', 'operation', 'provider', 'model', 'finish_reason', 'user_id',
  'thread_id', 'turn_id', 'error', 'prompt', 'completion', 'attributes', 'events', 'resource'];
const kinds = ['other', 'llm', 'turn', 'tool', 'retrieval', 'embedding', 'agent', 'chain'];
const statuses = ['UNSET', 'OK', 'ERROR'];

test('DuckDB reads every segment: rows, values, statistics and filters', { timeout: 600_000 }, async (t) => {
  const server = await serve(t, { grpc: false, args: ['--seal-rows', '300', '--seal-after', '100ms'] });
  await fill(server);
  await server.until('/api/v1/status', ({ store }) => store.memtable_rows === 0);
  const told = new Map();
  for (let n = 0; n < TRACES; n++) {
    const { spans } = await server.get(`/api/v1/traces/${hex(n * 7919 + 1, 32)}`);
    for (const span of spans) told.set(span.span_id, span);
  }
  await server.stop(); // so that no merge changes the files under DuckDB's eyes
  assert.equal(told.size, 3 * TRACES);

  const duck = await (await DuckDBInstance.create()).connect();
  const ask = async (sql) => (await duck.runAndReadAll(sql)).getRowObjects();
  const files = await segmentsOf(server.dir);
  const all = `read_parquet(${JSON.stringify(files).replaceAll('"', "'")})`;
  assert.ok(files.length >= 1); // one, when all were merged already
  const schema = await ask(`DESCRIBE SELECT * FROM ${all}`);
  assert.deepEqual(schema.map((row) => row.column_name), columns);
  assert.equal(schema[3].column_type, 'TIMESTAMP WITH TIME ZONE'); // DuckDB's own, in µs; the file has ns

  const rows = await ask(`SELECT lower(hex(trace_id)) AS trace_hex, lower(hex(span_id)) AS span_hex, lower(hex(parent_span_id)) AS parent_hex,
    epoch_us(start_ns) AS start, * EXCLUDE (trace_id, span_id, parent_span_id, start_ns) FROM ${all}`);
  assert.equal(rows.length, 3 * TRACES);
  for (const row of rows) {
    const span = told.get(row.span_hex);
    assert.ok(span, `span ${row.span_hex}`);
    const n = Math.floor((parseInt(row.span_hex, 16) - 1) / 3);
    assert.equal(row.trace_hex, hex(n * 7919 + 1, 32));
    const same = (column, value) => assert.deepEqual(row[column] ?? undefined, value, `${column} of span ${row.span_hex}`);
    const int = (column, value) => same(column, value === undefined ? undefined : BigInt(value));
    assert.equal(row.parent_hex ?? undefined, span.parent_span_id);
    assert.equal(row.start, BigInt(Date.parse(span.start.slice(0, 23) + 'Z')) * 1000n + BigInt(span.start.slice(23, 26)));
    assert.ok(Math.abs(Number(row.duration_ns) / 1e6 - span.duration_ms) < 0.001);
    int('tokens_input', span.tokens?.input);
    int('tokens_output', span.tokens?.output);
    assert.equal(kinds[Number(row.kind)], span.kind);
    assert.equal(statuses[Number(row.status)], span.status);
    for (const column of ['service', 'operation', 'provider', 'model', 'error', 'finish_reason']) same(column, span[column]);
    for (const column of ['cost_usd', 'temperature']) if (span[column] !== undefined || row[column] !== null) assert.ok(Math.abs(row[column] - span[column]) < 1e-9, column);
    if (row.user_id) assert.equal(row.user_id, span.user_id); // the API shows what is inherited, too
    for (const column of ['prompt', 'completion']) {
      const shown = typeof span[column] === 'string' || span[column] === undefined ? span[column] : JSON.parse(row[column]);
      if (typeof span[column] === 'string' || span[column] === undefined) same(column, shown);
      else assert.deepEqual(span[column], shown);
    }
    if (row.attributes) assert.deepEqual(JSON.parse(row.attributes), span.attributes);
    if (row.events) assert.deepEqual(JSON.parse(row.events).map((e) => e.name), span.events.map((e) => e.name));
    if (row.resource) assert.deepEqual(JSON.parse(row.resource), span.resource);
  }

  // Filters that DuckDB answers with the help of minima and maxima: what they leave out must not be there.
  for (const n of [0, 1, 349, TRACES - 1]) {
    const id = hex(n * 7919 + 1, 32);
    const found = await ask(`SELECT count(*)::INT AS n FROM ${all} WHERE trace_id = from_hex('${id}')`);
    assert.equal(found[0].n, 3, `trace ${n}`);
    const from = (base + BigInt(n) * 1_000_003n) / 1000n;
    const time = (us) => `TIMESTAMPTZ '${new Date(Number(us / 1000n)).toISOString().slice(0, -1)}${String(us % 1000n).padStart(3, '0')}Z'`;
    const [{ c }] = await ask(`SELECT count(*)::INT AS c FROM ${all} WHERE start_ns >= ${time(from)} AND start_ns < ${time(from + 1000n)}`);
    assert.equal(c, 3, `time of trace ${n}`);
    const [{ m }] = await ask(`SELECT count(*)::INT AS m FROM ${all} WHERE tokens_input = ${n + 1}`);
    assert.equal(m, 1);
  }
  const [{ u }] = await ask(`SELECT count(*)::INT AS u FROM ${all} WHERE user_id = 'user 11' AND operation = 'chat.continue_thread'`);
  assert.equal(u, [...Array(TRACES).keys()].filter((n) => n % 37 === 11).length);
  for (const file of files) {
    const stats = await ask(`SELECT path_in_schema AS col, stats_min_value AS min, stats_max_value AS max, stats_null_count AS nulls FROM parquet_metadata('${file}')`);
    const [real] = await ask(`SELECT max(tokens_input)::VARCHAR AS b, min(model) AS c, max(model) AS d, count(*) - count(model) AS e FROM read_parquet('${file}')`);
    const of = (name) => stats.find((row) => row.col === name);
    assert.ok(of('start_ns').min !== null);
    assert.equal(of('tokens_input').max, real.b);
    assert.equal(of('model').min, real.c);
    assert.equal(of('model').max, real.d);
    assert.equal(of('model').nulls, real.e);
  }
});
