// The questions of bench_query.c, asked of DuckDB (from a table of its own, filled from the same spans) and of SQLite (rows with
// three indexes, made by `bench_query sqlite`).
//
//     node peers.mjs duckdb STORE_DIR [REPEAT]      needs @duckdb/node-api: npm ci in tests/e2e
//     node peers.mjs sqlite FILE [REPEAT]           needs the sqlite3 program
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [engine, path, repeatText = '5'] = process.argv.slice(2);
const repeat = Number(repeatText);

// DuckDB's own forms first; SQLite has no percentiles or JSON paths with dots of the same kind.
const questions = [
  ['p50/p95/p99 by model and minute', "SELECT model, start_us // 60000000 AS minute, quantile_cont(duration_ns, [0.5, 0.95, 0.99]) FROM spans WHERE kind = 1 GROUP BY ALL",
    `WITH ranked AS (SELECT model, start_ns / 60000000000 AS minute, duration_ns, row_number() OVER w AS r, count(*) OVER (PARTITION BY model, start_ns / 60000000000) AS n
       FROM spans WHERE kind = 1 WINDOW w AS (PARTITION BY model, start_ns / 60000000000 ORDER BY duration_ns))
     SELECT model, minute, max(CASE WHEN r <= max(1, n * 50 / 100) THEN duration_ns END), max(CASE WHEN r <= max(1, n * 95 / 100) THEN duration_ns END),
       max(CASE WHEN r <= max(1, n * 99 / 100) THEN duration_ns END) FROM ranked GROUP BY 1, 2`],
  ['top 20 users by cost', 'SELECT user_id, sum(cost_usd) AS c, count(*) FROM spans GROUP BY 1 ORDER BY 2 DESC LIMIT 20'],
  ['newest 50 with model and status', `WITH newest AS (SELECT trace_id, max(start_us) AS s FROM spans WHERE model = 'gpt-4o' AND status = 2 GROUP BY 1 ORDER BY 2 DESC LIMIT 50)
     SELECT trace_id, count(*), sum(tokens_input), sum(cost_usd), min(start_us) FROM spans WHERE trace_id IN (SELECT trace_id FROM newest) GROUP BY 1`,
  `WITH newest AS (SELECT DISTINCT trace_id FROM (SELECT trace_id FROM spans WHERE model = 'gpt-4o' AND status = 2 ORDER BY start_ns DESC LIMIT 60) LIMIT 50)
     SELECT trace_id, count(*), sum(tokens_input), sum(cost_usd), min(start_ns) FROM spans WHERE trace_id IN (SELECT trace_id FROM newest) GROUP BY 1`],
  ['trace by id', 'SELECT * FROM spans WHERE trace_id = (SELECT trace_id FROM spans LIMIT 1 OFFSET 5000)'],
  ["one thread's turns", `SELECT trace_id, count(*), sum(tokens_input), sum(cost_usd) FROM spans WHERE trace_id IN (SELECT trace_id FROM spans WHERE thread_id = 'thread-1200-27') GROUP BY 1`],
  ['a word in prompts', `SELECT count(*) FROM spans WHERE prompt ILIKE '%zanzibar%'`, `SELECT count(*) FROM spans WHERE prompt LIKE '%zanzibar%'`],
  ['a substring in prompts', `SELECT count(*) FROM spans WHERE prompt ILIKE '%anziba%'`, `SELECT count(*) FROM spans WHERE prompt LIKE '%anziba%'`],
  ['distinct users by day', 'SELECT start_us // 86400000000, count(DISTINCT user_id) FROM spans GROUP BY 1', 'SELECT start_ns / 86400000000000, count(DISTINCT user_id) FROM spans GROUP BY 1'],
  ['an attribute', `SELECT count(*) FROM spans WHERE json_extract_string(attributes, '$."http.status_code"') = '429'`, `SELECT count(*) FROM spans WHERE json_extract(attributes, '$."http.status_code"') = 429`],
  ['group by an attribute', `SELECT json_extract_string(attributes, '$.experiment') AS e, count(*), quantile_cont(duration_ns, 0.95) FROM spans WHERE kind = 1 GROUP BY 1`,
    `SELECT json_extract(attributes, '$.experiment') AS e, count(*) FROM spans WHERE kind = 1 GROUP BY 1`],
  ['errors by service and hour', 'SELECT service, start_us // 3600000000, count(*), avg(CASE WHEN status = 2 THEN 1.0 ELSE 0 END) FROM spans GROUP BY ALL',
    'SELECT service, start_ns / 3600000000000, count(*), avg(CASE WHEN status = 2 THEN 1.0 ELSE 0 END) FROM spans GROUP BY 1, 2'],
];

const middle = (times) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)];
const show = (name, times, cpu) => {
  const m = middle(times);
  console.log(`${name.padEnd(40)} ${times[0].toFixed(2).padStart(12)} ${m.toFixed(2).padStart(12)} ${cpu === undefined ? '' : cpu.toFixed(2).padStart(12)}`);
};
console.log(`${''.padEnd(40)} ${'fastest ms'.padStart(12)} ${'middle ms'.padStart(12)} ${'CPU ms'.padStart(12)}`);

if (engine === 'duckdb') {
  const { DuckDBInstance } = await import(createRequire(new URL('../../tests/e2e/package.json', import.meta.url)).resolve('@duckdb/node-api'));
  const file = join(path, '..', 'peer.duckdb');
  for (const name of [file, `${file}.wal`]) if (existsSync(name)) rmSync(name);
  const duck = await (await DuckDBInstance.create(file, { threads: '2' })).connect();
  const files = readdirSync(join(path, 'spans'), { recursive: true }).filter((name) => name.endsWith('.parquet')).map((name) => `'${join(path, 'spans', name)}'`);
  const start = performance.now();
  await duck.run(`CREATE TABLE spans AS SELECT *, epoch_us(start_ns) AS start_us FROM read_parquet([${files.join(',')}])`);
  await duck.run('CHECKPOINT');
  const count = Number((await duck.runAndReadAll('SELECT count(*) FROM spans')).getRows()[0][0]);
  console.log(`DuckDB: ${count} spans, filled in ${((performance.now() - start) / 1000).toFixed(1)} s, ${(statSync(file).size / count).toFixed(1)} bytes a span`);
  for (const [name, sql] of questions) {
    const times = [];
    await duck.runAndReadAll(sql);
    const before = process.cpuUsage();
    for (let i = 0; i < repeat; i++) {
      const from = performance.now();
      await duck.runAndReadAll(sql);
      times.push(performance.now() - from);
    }
    const used = process.cpuUsage(before);
    show(name, times, (used.user + used.system) / 1000 / repeat);
  }
} else {
  console.log(`SQLite: ${statSync(path).size} bytes`);
  for (const [name, duckSql, sql = duckSql] of questions) {
    const text = sql.replaceAll('start_us', 'start_ns / 1000');
    const input = `.timer on\n.output /dev/null\n${`${text};\n`.repeat(repeat)}`;
    const output = execFileSync('sqlite3', [path], { input, encoding: 'utf8', maxBuffer: 1 << 28 });
    const times = [...output.matchAll(/Run Time: real ([\d.]+)/g)].map((m) => Number(m[1]) * 1000);
    if (times.length) show(name, times);
  }
}
