// The questions of bench_query.c, asked of its peers: DuckDB and ClickHouse from tables of their own, SQLite from rows with three indexes.
//
//     node peers.mjs duckdb-fill STORE_DIR FILE            a table made of the store's Parquet files
//     node peers.mjs duckdb STORE_DIR FILE [REPEAT]        needs @duckdb/node-api: npm ci in tests/e2e
//     node peers.mjs sqlite STORE_DIR FILE [REPEAT]        FILE by `bench_query sqlite`; needs the sqlite3 program
//     node peers.mjs clickhouse-fill DIR BENCH_QUERY SPANS needs clickhouse-server and clickhouse-client, Debian's 18.16
//     node peers.mjs clickhouse STORE_DIR DIR [REPEAT]
//
// Two threads each. Prints the lines that table.mjs reads.
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { startClickhouse } from '../../tests/e2e/lib/clickhouse.mjs';
import { columns, questions, titles } from './questions.mjs';

const BUDGET_MS = 3000; // a slow question is not asked more often than fits into it
const WATCH_MS = 10;
const TICKS_PER_S = 100;
const [what, path, file, repeatText = '5'] = process.argv.slice(2);
const repeat = Number(repeatText);
const fact = (name, value) => console.log(`fact ${name} ${value}`);
const parquetFiles = () => `read_parquet([${readdirSync(join(path, 'spans'), { recursive: true }).filter((name) => name.endsWith('.parquet')).map((name) => `'${join(path, 'spans', name)}'`)}])`;

const ownMemoryKib = (pid) => Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/RssAnon:\s+(\d+)/)?.[1] ?? 0);
function cpuMs(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ');
  return ((Number(fields[11]) + Number(fields[12])) / TICKS_PER_S) * 1000;
}
/** The most memory of its own that a process holds until it is asked. */
function watchMemory(pid) {
  let most = 0;
  const timer = setInterval(() => (most = Math.max(most, ownMemoryKib(pid))), WATCH_MS);
  return () => (clearInterval(timer), fact('most_memory_mib', Math.round(most / 1024)));
}

const show = (title, times, cpu) => {
  times.sort((a, b) => a - b);
  console.log(`${title.padEnd(40)} ${'-'.padStart(12)} ${[times[0], times[Math.floor(times.length / 2)], cpu].map((ms) => ms.toFixed(2).padStart(12)).join(' ')}`);
};
/** Asks once to warm up, then up to `repeat` times; `usedMs` says the CPU time spent so far. */
async function measure(title, ask, usedMs) {
  await ask();
  const times = [], before = usedMs();
  let answer, spent = 0;
  while (!times.length || (times.length < repeat && spent < BUDGET_MS)) {
    const from = performance.now();
    answer = await ask();
    times.push(performance.now() - from);
    spent += times.at(-1);
  }
  show(title, times, (usedMs() - before) / times.length);
  if (process.env.SHOW) console.log(`#   ${answer}`);
}

async function openDuck() {
  const { DuckDBInstance } = await import(createRequire(new URL('../../tests/e2e/package.json', import.meta.url)).resolve('@duckdb/node-api'));
  return (await DuckDBInstance.create(file, { threads: '2' })).connect();
}

async function fillDuck() {
  for (const name of [file, `${file}.wal`]) if (existsSync(name)) rmSync(name);
  const duck = await openDuck(), start = performance.now();
  await duck.run(`CREATE TABLE spans AS SELECT *, epoch_us(start_ns) AS start_us FROM ${parquetFiles()}`);
  await duck.run('CHECKPOINT');
  fact('fill_s', ((performance.now() - start) / 1000).toFixed(1));
}

async function askDuck() {
  const duck = await openDuck();
  const rows = async (sql) => (await duck.runAndReadAll(sql)).getRows();
  const [[version, count, trace]] = await rows('SELECT version(), (SELECT count(*) FROM spans), (SELECT lower(hex(trace_id)) FROM spans LIMIT 1 OFFSET 5000)');
  fact('version', version);
  fact('spans', count);
  fact('bytes_per_span', (statSync(file).size / Number(count)).toFixed(1));
  const stop = watchMemory(process.pid);
  const used = () => ((u) => (u.user + u.system) / 1000)(process.cpuUsage());
  for (const [name, sql] of Object.entries(questions.duckdb)) await measure(titles[name], async () => String(await rows(sql.replace('{trace}', trace))).slice(0, 200), used);
  stop();
}

/** One sqlite3 program that stays: a question goes in, its answer comes out. */
async function askSqlite() {
  const child = spawn('sqlite3', [file], { stdio: ['pipe', 'pipe', 'inherit'] });
  let waiting, text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
    if (text.endsWith('--end--\n')) waiting(text.slice(0, -8));
  });
  const ask = (sql) => new Promise((done) => ((text = ''), (waiting = done), child.stdin.write(`${sql};\n.print --end--\n`)));
  await ask('PRAGMA cache_size = -1000000; PRAGMA mmap_size = 30000000000');
  const [version, count, trace] = (await ask('SELECT sqlite_version(), max(rowid), (SELECT lower(hex(trace_id)) FROM spans WHERE rowid = 5000) FROM spans')).trim().split('|');
  fact('version', version);
  fact('spans', count);
  fact('bytes_per_span', (statSync(file).size / Number(count)).toFixed(1));
  const stop = watchMemory(child.pid);
  for (const [name, sql] of Object.entries(questions.sqlite)) await measure(titles[name], async () => (await ask(sql.replace('{trace}', trace))).slice(0, 200), () => cpuMs(child.pid));
  stop();
  child.stdin.end();
}

const needClickhouse = async (dir) => {
  const ch = await startClickhouse(dir, { threads: 2 });
  if (!ch) throw new Error('clickhouse-server is not installed (apt-get install clickhouse-server clickhouse-client)');
  return ch;
};

async function fillClickhouse() {
  const [program, spans] = process.argv.slice(4), ch = await needClickhouse(path);
  try {
    const make = columns.replace('{start}', 'Int64').replace('{json}', 'String').replaceAll('{zstd}', '');
    await ch.text('DROP TABLE IF EXISTS spans');
    await ch.text(`CREATE TABLE spans (day Date MATERIALIZED toDate(intDiv(start_ns, 1000000000)), ${make}) ENGINE = MergeTree PARTITION BY day ORDER BY start_ns`,
      { allow_experimental_low_cardinality_type: 1 });
    const start = performance.now();
    const pipe = spawn('sh', ['-c', '"$0" tsv "$1" | clickhouse-client --host 127.0.0.1 --port "$2" --query "INSERT INTO spans FORMAT TSV"', program, spans, String(ch.tcp)], { stdio: 'inherit' });
    const [code] = await once(pipe, 'close');
    if (code !== 0) throw new Error(`filling ended with ${code}`);
    fact('fill_s', ((performance.now() - start) / 1000).toFixed(1));
    fact('fill_cpu_s', (cpuMs(ch.pid) / 1000).toFixed(1));
    await ch.text('OPTIMIZE TABLE spans FINAL');
    fact('fill_and_merge_s', ((performance.now() - start) / 1000).toFixed(1));
  } finally {
    await ch.stop();
  }
}

async function askClickhouse() {
  const ch = await needClickhouse(file);
  try {
    const [{ version, rows, bytes }] = await ch.ask("SELECT version() AS version, sum(rows) AS rows, sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND table = 'spans'");
    fact('version', version);
    fact('spans', rows);
    fact('bytes_per_span', (bytes / rows).toFixed(1));
    const [{ trace }] = await ch.ask('SELECT lower(hex(trace_id)) AS trace FROM spans LIMIT 5000, 1');
    const stop = watchMemory(ch.pid);
    for (const [name, sql] of Object.entries(questions.clickhouse)) await measure(titles[name], async () => (await ch.text(sql.replace('{trace}', trace))).slice(0, 200), () => cpuMs(ch.pid));
    stop();
  } finally {
    await ch.stop();
  }
}

const ways = { 'duckdb-fill': fillDuck, duckdb: askDuck, sqlite: askSqlite, 'clickhouse-fill': fillClickhouse, clickhouse: askClickhouse };
if (!ways[what]) {
  console.error(`usage: node peers.mjs ${Object.keys(ways).join('|')} … (see its first lines)`);
  process.exit(2);
}
await ways[what]();
