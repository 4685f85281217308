// Two engines, one set of files: hundreds of random filters and aggregates are asked of Vitrine and, as SQL, of DuckDB reading the
// same Parquet segments. Seeded: SEED=n repeats a run, CASES=n makes it longer.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';

const build = process.env.VITRINE ? join(dirname(process.env.VITRINE), '../..') : fileURLToPath(new URL('../../build', import.meta.url));
const driver = process.env.VITRINE_QUERY_DRIVER ?? join(build, 'tests/unit/query/query_driver');
const seed = Number(process.env.SEED ?? 20261123);
const cases = Number(process.env.CASES ?? 300);
const SPANS = 24_000;

// ---- random numbers, the same for one seed ----

let state = seed >>> 0;
function draw(below) {
  state = (state + 0x6d2b79f5) >>> 0;
  let t = state;
  t = Math.imul(t ^ (t >>> 15), t | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) % below;
}
const pick = (list) => list[draw(list.length)];

// ---- one condition in both languages ----

const kinds = ['other', 'llm', 'turn', 'tool', 'retrieval', 'embedding', 'agent', 'chain'];
const statuses = ['unset', 'ok', 'error'];
const words = ['jacket', 'rain', 'shoe', 'tent', 'alpine', 'shell', 'return', 'refund', 'size', 'blue', 'stove', 'rope', 'nowhere'];
const numbers = { duration_ms: 'duration_ns / 1e6', ttft_ms: 'ttft_ns / 1e6', 'tokens.input': 'tokens_input', 'tokens.output': 'tokens_output', 'tokens.cached': 'tokens_cached',
  'tokens.total': "(CASE WHEN tokens_input IS NULL THEN tokens_output WHEN tokens_output IS NULL THEN tokens_input ELSE tokens_input + tokens_output END)", cost_usd: 'cost_usd', temperature: 'temperature' };
const usage = new Set(['tokens.input', 'tokens.output', 'tokens.cached', 'tokens.total', 'cost_usd']);
const texts = ['service', 'operation', 'model', 'user_id', 'thread_id'];
const attribute = (key) => `coalesce(json_extract_string(attributes, '$.${key}'), json_extract_string(resource, '$.${key}'))`;
const limits = { duration_ms: 20000, ttft_ms: 900, 'tokens.input': 4000, 'tokens.output': 1500, 'tokens.cached': 100, 'tokens.total': 5000, cost_usd: 0.3, temperature: 1.3 };

function numberTerm() {
  const field = pick(Object.keys(numbers));
  const sql = numbers[field];
  const value = () => Math.round(draw(1000) / 1000 * limits[field] * 64) / 64;
  const a = value();
  const b = a + value();
  const [text, condition] = pick([
    [`>${a}`, `${sql} > ${a}`], [`>=${a}`, `${sql} >= ${a}`], [`<${a}`, `${sql} < ${a}`], [`<=${a}`, `${sql} <= ${a}`], [`${a}..${b}`, `${sql} BETWEEN ${a} AND ${b}`],
  ]);
  return [`${field}:${text}`, condition];
}

function textTerm() {
  const field = pick(texts);
  const value = { service: () => pick(['shop', 'search']), operation: () => `${pick(['chat', 'tool'])}.op${draw(7)}`, model: () => `${pick(['gpt', 'claude'])}-${draw(5)}`,
    user_id: () => `u${draw(30)}`, thread_id: () => `t${draw(800)}` }[field]();
  if (draw(3)) return [`${field}:${value}`, `${field} = '${value}'`];
  const stem = value.slice(0, -1);
  return [`${field}:${stem}*`, `${field} LIKE '${stem}%'`];
}

function wordTerm() {
  const word = pick(words);
  const in_word = (column, pattern) => `regexp_matches(lower(${column}), '${pattern}')`;
  const both = (test) => `(coalesce(${test('prompt')}, false) OR coalesce(${test('completion')}, false))`;
  return pick([
    [word, both((c) => in_word(c, `(^|[^a-z0-9])${word}($|[^a-z0-9])`))],
    [`prompt:${word}`, in_word('prompt', `(^|[^a-z0-9])${word}($|[^a-z0-9])`)],
    [`completion:*${word.slice(1, 4)}*`, `contains(lower(completion), '${word.slice(1, 4)}')`],
    [`${word}*`, both((c) => in_word(c, `(^|[^a-z0-9])${word}`))],
    [`"${word} ${words[1]}"`, both((c) => in_word(c, `(^|[^a-z0-9])${word} ${words[1]}($|[^a-z0-9])`))],
  ]);
}

function attributeTerm() {
  const tries = draw(7);
  return pick([
    [`attr.region:r${draw(5)}`, (t) => `${attribute('region')} = '${t.slice(12)}'`], [`attr.tries:${tries}`, () => `${attribute('tries')} = '${tries}'`],
    [`attr.tries:>${tries}`, () => `CAST(${attribute('tries')} AS DOUBLE) > ${tries}`], ['attr.beta:true', () => `${attribute('beta')} = 'true'`],
    ['has:tier', () => `${attribute('tier')} IS NOT NULL`], ['attr.tier:iron', () => `${attribute('tier')} = 'iron'`], ['attr.host:web-1', () => `${attribute('host')} = 'web-1'`],
  ].map(([text, sql]) => [text, sql(text)]));
}

function otherTerm() {
  const kind = draw(kinds.length);
  const status = draw(3);
  const field = pick([...texts, 'prompt', 'temperature', 'cost_usd']);
  return pick([
    [`kind:${kinds[kind]}`, `kind = ${kind}`], [`status:${statuses[status]}`, `status = ${status}`], [`has:${field}`, `${field} IS NOT NULL`], ['root:true', 'parent_span_id IS NULL'],
    ['fallback:true', '(flags & 16) <> 0'], [`kind:(llm OR turn)`, 'kind IN (1, 2)'],
  ]);
}

function term() {
  const [text, sql] = pick([numberTerm, textTerm, textTerm, wordTerm, attributeTerm, otherTerm])();
  return draw(5) ? [text, `coalesce(${sql}, false)`] : [`-${text}`, `NOT coalesce(${sql}, false)`];
}

function filter(depth = 0) {
  if (depth === 2 || draw(3) === 0) return term();
  const parts = Array.from({ length: 2 + draw(2) }, () => filter(depth + 1));
  const or = draw(2);
  const negated = draw(6) === 0;
  const text = `(${parts.map(([t]) => t).join(or ? ' OR ' : ' ')})`;
  const sql = `(${parts.map(([, s]) => s).join(or ? ' OR ' : ' AND ')})`;
  return negated ? [`-${text}`, `NOT ${sql}`] : [text, sql];
}

// ---- one aggregate in both languages ----

const weight = '(CASE WHEN sample_rate > 0 AND sample_rate < 1 THEN 1 / sample_rate ELSE 1.0 END)';

function aggregate() {
  const field = pick(Object.keys(numbers));
  const counted = usage.has(field) ? `(CASE WHEN (flags & 8) = 0 THEN ${numbers[field]} END)` : numbers[field];
  const q = pick([1, 10, 25, 50, 75, 90, 95, 99]);
  const distinct = pick([...texts, 'trace_id']);
  return pick([
    ['count', `sum(${weight})`], ['errors', `sum(CASE WHEN status = 2 THEN ${weight} ELSE 0 END)`], ['error_rate', `sum(CASE WHEN status = 2 THEN ${weight} ELSE 0 END) / sum(${weight})`],
    [`sum(${field})`, `sum(${counted} * ${weight})`], [`avg(${field})`, `sum(${counted} * ${weight}) / sum(CASE WHEN ${counted} IS NOT NULL THEN ${weight} END)`],
    [`min(${field})`, `min(${counted})`], [`max(${field})`, `max(${counted})`], [`distinct(${distinct})`, `count(DISTINCT ${distinct})`],
    [`p${q}(${field})`, { counted, share: q / 100 }],
  ]);
}

const groupings = { model: 'model', service: 'service', status: `(['UNSET', 'OK', 'ERROR'])[status + 1]`, kind: `(['other', 'llm', 'turn', 'tool', 'retrieval', 'embedding', 'agent', 'chain'])[kind + 1]`,
  user_id: 'user_id', region: attribute('region'), tries: attribute('tries'), host: attribute('host'), fallback: '((flags & 16) <> 0)' };

// ---- asking ----

async function start(t) {
  const dir = await mkdtemp(join(tmpdir(), 'vitrine-differential-'));
  const child = spawn(driver, [dir, String(seed), String(SPANS)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  t.after(async () => {
    child.stdin.end();
    if (child.exitCode === null) await once(child, 'exit');
    await rm(dir, { recursive: true, force: true });
  });
  assert.equal((await lines.next()).value, 'ready');
  const files = (await readdir(join(dir, 'spans'), { recursive: true })).filter((name) => name.endsWith('.parquet')).map((name) => `'${join(dir, 'spans', name)}'`);
  const duck = await (await DuckDBInstance.create(':memory:', { threads: '2' })).connect();
  await duck.run(`CREATE TABLE spans AS SELECT * REPLACE (epoch_us(start_ns) AS start_ns) FROM read_parquet([${files.join(',')}])`);
  return {
    async vitrine(line) {
      child.stdin.write(`${line}\n`);
      const answer = JSON.parse((await lines.next()).value);
      assert.equal(answer.error, undefined, `${line}: ${JSON.stringify(answer.error)}`);
      return answer;
    },
    async duck(sql) {
      return (await duck.runAndReadAll(sql)).getRowObjectsJson();
    },
  };
}

const from = Date.UTC(2026, 10, 23);
const to = from + 2 * 86_400_000;
const near = (a, b, share) => (a === null || b === null ? a === b : Math.abs(a - b) <= share * Math.abs(b) + 1e-9);

async function compareAggregates(ask, number) {
  const [where, condition] = draw(6) ? filter() : ['', 'true'];
  const select = Array.from({ length: 1 + draw(4) }, aggregate);
  const groups = [...new Set(Array.from({ length: draw(3) }, () => pick(Object.keys(groupings))))];
  const interval = pick([0, 0, 60, 3600, 21600]);
  const body = { from, to, where, select: select.map(([name]) => name), group_by: groups, limit: 10000, ...(interval && { interval: `${interval}s` }) };
  const label = `case ${number}: ${JSON.stringify(body)}`;
  const keys = groups.map((name, i) => `CAST(${groupings[name]} AS VARCHAR) AS g${i}`);
  const bucket = interval ? `(start_ns // ${interval * 1e6}) * ${interval * 1000}` : `${from}`;
  const by = ['bucket', ...groups.map((_, i) => `g${i}`)];
  const plain = select.map(([, sql], i) => (typeof sql === 'string' ? `${sql} AS v${i}` : `NULL AS v${i}`));
  const source = `(SELECT *, ${[`${bucket} AS bucket`, ...keys].join(', ')} FROM spans WHERE ${condition})`;
  const wanted = new Map();
  const keyOf = (row) => by.map((name) => String(row[name])).join('|');
  for (const row of await ask.duck(`SELECT ${by.join(', ')}, ${plain.join(', ')} FROM ${source} GROUP BY ALL`)) {
    wanted.set(keyOf(row), select.map((_, i) => (row[`v${i}`] === null ? null : Number(row[`v${i}`]))));
  }
  for (const [i, [, sql]] of select.entries()) {
    if (typeof sql === 'string') continue;
    const partition = `PARTITION BY ${by.join(', ')}`;
    const ranked = `SELECT ${by.join(', ')}, ${sql.counted} AS v, sum(${weight}) OVER (${partition} ORDER BY ${sql.counted}) AS below, sum(${weight}) OVER (${partition}) AS total FROM ${source} WHERE ${sql.counted} IS NOT NULL`;
    for (const row of await ask.duck(`SELECT ${by.join(', ')}, min(v) AS v FROM (${ranked}) WHERE below >= ${sql.share} * total - 1e-9 GROUP BY ALL`)) wanted.get(keyOf(row))[i] = Number(row.v);
  }
  const answer = await ask.vitrine(`/api/v1/query\t${JSON.stringify(body)}`);
  let points = 0;
  for (const { group, points: series } of answer.series) {
    for (const [time, ...values] of series) {
      const key = [time, ...groups.map((name) => group[name] ?? null)].map(String).join('|');
      const exact = wanted.get(key);
      if (!exact && !groups.length && !interval) continue; // one empty group stands for nothing
      assert.ok(exact, `${label}: DuckDB has no group ${key}`);
      for (const [i, value] of values.entries()) {
        const share = typeof select[i][1] === 'string' ? 1e-9 : 0.01;
        assert.ok(near(value, exact[i], share), `${label}\ngroup ${key}, ${select[i][0]}: ${value}, DuckDB says ${exact[i]}`);
      }
      points++;
    }
  }
  assert.equal(points, wanted.size, `${label}: ${points} points, DuckDB has ${wanted.size}`);
}

async function compareLists(ask, number) {
  const [where, condition] = draw(6) ? filter() : ['', 'true'];
  const limit = 1 + draw(60);
  const first = from * 1000 + draw(86_400) * 1e6;
  const last = first + draw(86_400) * 1e6 + 1e6;
  const rows = await ask.duck(`SELECT lower(hex(trace_id)) AS id, min(start_ns) AS start FROM spans WHERE start_ns >= ${first} AND start_ns < ${last} AND ${condition} GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT ${limit}`);
  const answer = await ask.vitrine(`/api/v1/traces?from=${first / 1000}&to=${last / 1000}&limit=${limit}&q=${encodeURIComponent(where)}`);
  // Which traces a page has is decided by their first matching spans; within it they stand by their own start.
  assert.deepEqual(answer.traces.map((trace) => trace.trace_id).sort(), rows.map((row) => row.id).sort(), `case ${number}: ${where}`);
  const starts = answer.traces.map((trace) => trace.start);
  assert.deepEqual(starts, [...starts].sort().reverse(), `case ${number}: ${where}: newest first`);
}

async function compareFacets(ask, number) {
  const [where, condition] = filter();
  const name = pick(['model', 'service', 'status', 'kind', 'region']);
  const rows = await ask.duck(`SELECT CAST(${groupings[name]} AS VARCHAR) AS value, sum(${weight}) AS n FROM spans WHERE ${condition} GROUP BY 1`);
  const { facets } = await ask.vitrine(`/api/v1/facets?from=${from}&to=${to}&fields=${name}&q=${encodeURIComponent(where)}`);
  const wanted = Object.fromEntries(rows.map((row) => [row.value, Number(row.n)]));
  const got = Object.fromEntries(facets[0].values.map(({ value, count }) => [value, count]));
  if (facets[0].missing) got.null = facets[0].missing;
  assert.deepEqual(got, wanted, `case ${number}: ${where}`);
}

test(`answers equal DuckDB's on the same files (seed ${seed}, ${cases} cases)`, { timeout: 1_200_000 }, async (t) => {
  const ask = await start(t);
  const count = Number((await ask.duck('SELECT count(*) AS n FROM spans'))[0].n);
  assert.ok(count >= SPANS);
  for (let number = 0; number < cases; number++) await pick([compareAggregates, compareAggregates, compareAggregates, compareLists, compareFacets])(ask, number);
});
