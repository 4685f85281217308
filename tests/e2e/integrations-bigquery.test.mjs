// BigQuery: what load.sh gives to bq, checked against the schemas as BigQuery checks rows; the SQL, read by a parser of BigQuery's
// dialect and run by `vitrine sql`.
import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import parsers from 'node-sql-parser/build/bigquery.js';
import { program, root, run, serve, tempDir } from './lib/vitrine.mjs';
import { call, lines, turn } from './lib/storefront.mjs';

const folder = join(root, 'integrations/bigquery');
const read = (path) => readFile(join(folder, path), 'utf8');
const json = async (path) => JSON.parse(await read(path));
const noJq = (await run(['--version'], { command: 'jq' }).catch(() => ({ code: 1 }))).code !== 0 && "Debian's package jq is not installed";

const TYPES = {
  STRING: (v) => typeof v === 'string', FLOAT: (v) => typeof v === 'number', INTEGER: Number.isInteger, BOOLEAN: (v) => typeof v === 'boolean', JSON: () => true,
  TIMESTAMP: (v) => typeof v === 'string' && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$/.test(v) && !Number.isNaN(Date.parse(v)),
  RECORD: (v) => typeof v === 'object' && v !== null && !Array.isArray(v),
};

/** What of a row does not fit a schema: members that it lacks, that have another type, that it does not know. */
function misfits(row, schema, path = '') {
  const wrong = schema.flatMap(({ name, type, mode, fields }) => {
    const value = row[name];
    if (value === undefined || value === null) return mode === 'REQUIRED' ? [`${path}${name} is missing`] : [];
    if (mode === 'REPEATED' ? !Array.isArray(value) || !value.every(TYPES[type]) : !TYPES[type](value)) return [`${path}${name} is no ${type}`];
    return type === 'RECORD' ? misfits(value, fields, `${path}${name}.`) : [];
  });
  return [...wrong, ...Object.keys(row).filter((key) => !schema.some((field) => field.name === key)).map((key) => `${path}${key} is unknown`)];
}

/** A JSONPath of names alone, as JSON_EXTRACT_SCALAR walks it. */
const extract = (value, path) => path.slice(2).split('.').reduce((at, name) => at?.[name], value);

/** load.sh with a bq that keeps its arguments and the files it was given: [{args, table, rows, schema}]. */
async function load(t, args) {
  const dir = await tempDir(t), bin = join(dir, 'bin');
  await mkdir(bin);
  await writeFile(join(bin, 'bq'), `#!/bin/sh\nn=$(ls ${dir} | grep -c args); printf '%s\\n' "$@" >${dir}/args$n\nfor last; do before=$file file=$last; done\ncp "$before" ${dir}/rows$n; cp "$file" ${dir}/schema$n\n`, { mode: 0o755 });
  const { code, stderr } = await run(args, { command: join(folder, 'load.sh'), env: { PATH: `${bin}:${process.env.PATH}` } });
  assert.equal(code, 0, stderr);
  const loads = [];
  for (let i = 0; ; i++) {
    const given = await readFile(join(dir, `args${i}`), 'utf8').catch(() => undefined);
    if (given === undefined) return loads;
    const rows = (await readFile(join(dir, `rows${i}`), 'utf8')).split('\n').filter(Boolean).map((line) => JSON.parse(line));
    loads.push({ args: given.trimEnd().split('\n'), table: given.trimEnd().split('\n').at(-3), rows, schema: JSON.parse(await readFile(join(dir, `schema${i}`), 'utf8')) });
  }
}

test('BigQuery: load.sh loads lines of libvitrine as the schema has them, and the paths of the storefront find what is in them', { skip: noJq }, async (t) => {
  const dir = await tempDir(t), files = ['a.jsonl', 'b.jsonl'].map((name) => join(dir, name));
  const written = await run(['3'], { command: join(dirname(program), '../../tests/unit/sdk/sdk_client'), env: { OTEL_SERVICE_NAME: 'ai-storefront', VITRINE_CAPTURE: 'full' } });
  await writeFile(files[0], written.stdout);
  await writeFile(files[1], lines(turn({ fallback: true, attributes: { llm: 'flat', 'a.b': 1, 'a.b.c': 2 } })));
  const loads = await load(t, ['ai_logs', ...files]);
  assert.deepEqual(loads.map(({ table, rows }) => [table, rows.length]), [['ai_logs.ai_storefront_traces', 12], ['ai_logs.ai_storefront_traces', 3]]);
  for (const { args, rows, schema } of loads) {
    assert.deepEqual(args.slice(0, 4), ['load', '--source_format=NEWLINE_DELIMITED_JSON', '--ignore_unknown_values', '--time_partitioning_field=timestamp']);
    for (const row of rows) assert.deepEqual(misfits(row, schema), []);
  }
  const [call] = loads[0].rows.filter((row) => row.attributes['llm.usage.total_tokens']);
  assert.deepEqual([extract(call.attributes, '$.llm.vendor'), call.attributes['llm.vendor'], extract(call.attributes, '$.llm.usage.total_tokens')], ['openai', 'openai', 396]);
  const [odd] = loads[1].rows;
  assert.deepEqual([odd.attributes.llm, odd.attributes['a.b.c'], odd.attributes.a], ['flat', 2, { b: 1 }]);
});

test('BigQuery: load.sh --spans loads what vitrine export writes as its schema has it', { skip: noJq }, async (t) => {
  const v = await serve(t, { grpc: false }), file = join(await tempDir(t), 'spans.ndjson');
  await v.post('/ingest/logs', lines([...turn({ fallback: true }), ...turn({ attributes: { 'llm.cost.total': 0.01, 'gen_ai.usage.cache_read.input_tokens': 7, 'llm.usage.reasoning_tokens': 3, 'llm.input.messages': '[{"role":"user","content":"x"}]' } })]));
  assert.equal((await run(['export', '--format', 'ndjson', '-o', file, '--url', v.url])).code, 0);
  const [{ args, table, rows, schema }] = await load(t, ['--spans', 'ai_logs', file]);
  assert.deepEqual([table, rows.length, args[3]], ['ai_logs.spans', 5, '--time_partitioning_field=start']);
  for (const row of rows) assert.deepEqual(misfits(row, schema), []);
  assert.ok(rows.some((row) => row.tokens?.reasoning === 3 && row.cost_reported));
});

test('BigQuery: what does not fit the schema is seen', async () => {
  const schema = await json('schema.json'), spans = await json('schema-spans.json');
  assert.deepEqual(misfits({ ...call(), timestamp: 'soon', trace: { traceId: 1 }, extra: 1 }, schema), ['timestamp is no TIMESTAMP', 'trace.traceId is no STRING', 'trace.spanId is missing', 'trace.operation is missing', 'extra is unknown']);
  assert.ok(misfits({ tokens: { input: 1.5 } }, spans).includes('tokens.input is no INTEGER'));
  for (const field of [...schema, ...spans].flatMap((one) => [one, ...(one.fields ?? [])])) assert.ok(field.type in TYPES && ['REQUIRED', 'NULLABLE', 'REPEATED'].includes(field.mode), field.name);
});

const statements = (sql) => sql.replace(/^--.*$/gm, '').split(';').map((text) => text.trim()).filter(Boolean);
const bare = (view) => view.replace(/^CREATE OR REPLACE VIEW \w+ AS\s+/, '');

test("BigQuery: views and the storefront's query are BigQuery's SQL, over columns that the schema has", async () => {
  const parser = new parsers.Parser(), schema = await json('schema.json'), inTrace = schema.find((field) => field.name === 'trace').fields.map((field) => field.name);
  const known = new Set([...schema.map((field) => field.name), ...inTrace, 'vendor']); // vendor: a name of the query's own, in GROUP BY
  const all = [...statements(await read('views.sql')), ...statements(await read('storefront.sql'))];
  assert.equal(all.length, 3);
  for (const sql of all) {
    assert.ok(parser.parse(sql, { database: 'BigQuery' }).ast, sql);
    const { columnList } = parser.parse(bare(sql), { database: 'BigQuery' });
    assert.ok(columnList.length >= 3, sql);
    for (const [, table, column] of columnList.map((one) => one.split('::'))) assert.ok(table === 'trace' ? inTrace.includes(column) : known.has(column), `${table}.${column}`);
  }
  assert.throws(() => parser.parse('SELECT FROM WHERE', { database: 'BigQuery' }));
  const storefront = (await read('storefront.sql')).replace(/\s+/g, '');
  for (const part of ["JSON_EXTRACT_SCALAR(attributes,'$.llm.vendor')", String.raw`REGEXP_EXTRACT(trace.duration,r'(\d+)ms')`, 'FROMai_storefront_traces', 'WHEREtrace.operation=']) assert.ok(storefront.includes(part), part);
});

async function ask(v, sql) {
  const { code, stdout, stderr } = await run(['sql', '--json', '--url', v.url], { input: sql });
  assert.equal(code, 0, `${sql}\n${stderr}`);
  return JSON.parse(stdout);
}

test('BigQuery: the views answer in vitrine sql', async (t) => {
  const v = await serve(t, { grpc: false });
  await v.post('/ingest/logs', lines(turn({ fallback: true })));
  const [calls, turns] = statements(await read('views.sql')).map(bare);
  const rows = async (view) => {
    const { columns, rows: found } = await ask(v, view);
    return found.map((row) => Object.fromEntries(row.map((value, i) => [columns[i].name ?? columns[i], value])));
  };
  assert.deepEqual((await rows(calls)).map(({ duration_ms, status, provider, model, total_tokens, user_id }) => [Number(duration_ms), status, provider, model, Number(total_tokens), user_id]).sort((a, b) => (a[1] < b[1] ? -1 : 1)),
    [[4283, 'ERROR', 'openai', 'gpt-4o-mini', 396, 'test-user'], [4283, 'OK', 'openai', 'gpt-4o-mini', 396, 'test-user']]);
  assert.deepEqual((await rows(turns)).map(({ operation, duration_ms, thread_id, user_id }) => [operation, Number(duration_ms), thread_id, user_id]), [['chat.continue_thread', 5000, 'test-thread-123', 'test-user']]);
});

test("BigQuery: the storefront's own query runs as written in vitrine sql", async (t) => {
  const v = await serve(t, { grpc: false });
  await v.post('/ingest/logs', lines([call({ ms: 1000 }), call({ ms: 3000 })]));
  assert.deepEqual((await ask(v, await read('storefront.sql'))).rows, [['openai', 2, 2000]]);
});
