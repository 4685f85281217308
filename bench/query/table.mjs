// Puts what the engines printed side by side.
//     node table.mjs RESULTS_DIR              one row a question, one column an engine, and how many times ours each took
//     node table.mjs growth DIR DIR …         ours and DuckDB's, from results of growing size
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { titles } from './questions.mjs';

const engines = [
  ['vitrine', 'Vitrine'],
  ['duckdb', 'DuckDB'],
  ['sqlite', 'SQLite'],
  ['clickhouse', 'ClickHouse 18.16'],
  ['chdb-table', 'ClickHouse, table'],
  ['chdb-parquet', 'ClickHouse, our files'],
];

/** {facts, rows: {title: {cold, fastest, middle, cpu, again}}} of one engine's lines, or null when it was not run. */
function read(dir, name) {
  const file = join(dir, `${name}.txt`);
  if (!existsSync(file)) return null;
  const facts = {}, rows = {};
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const [, key, value] = line.match(/^fact (\S+) (.*)$/) ?? [];
    if (key) facts[key] = value;
    const title = line.slice(0, 40).trim();
    if (!Object.values(titles).includes(title)) continue;
    const [cold, fastest, middle, cpu, again] = line.slice(40).trim().split(/\s+/).map(Number);
    rows[title] = { cold, fastest, middle, cpu, again };
  }
  return { facts, rows };
}

const number = (ms) => (ms === undefined || Number.isNaN(ms) ? '–' : ms < 10 ? ms.toFixed(2) : Math.round(ms).toLocaleString('en-US'));
const ratio = (theirs, ours) => (theirs === undefined || ours === undefined ? '' : theirs / ours >= 10 ? ` (${Math.round(theirs / ours)} ×)` : ` (${(theirs / ours).toFixed(1)} ×)`);
const print = (cells) => console.log(`| ${cells.join(' | ')} |`);
const rule = (count) => console.log(`| --- |${' ---: |'.repeat(count)}`);

function sideBySide(dir) {
  const ran = engines.map(([name, label]) => ({ name, label, ...read(dir, name) })).filter((engine) => engine.rows);
  const ours = ran.find((engine) => engine.name === 'vitrine');
  for (const { label, facts } of ran) console.log(`${label}: ${['version', 'spans'].map((key) => facts[key] && `${key} ${facts[key]}`).filter(Boolean).join(', ')}`);
  for (const [what, key] of [['Wall, ms, middle of the warm rounds', 'middle'], ['CPU, ms', 'cpu']]) {
    console.log(`\n${what}; in brackets how many times Vitrine's\n`);
    print(['', ...ran.map((engine) => engine.label)]);
    rule(ran.length);
    for (const title of Object.values(titles))
      print([title, ...ran.map((engine) => number(engine.rows[title]?.[key]) + (engine === ours ? '' : ratio(engine.rows[title]?.[key], ours?.rows[title]?.[key])))]);
  }
  if (ours) {
    console.log(`\nVitrine, ms: the first answer after the files left the page cache; warm; asked again (parts of row groups are kept)\n`);
    print(['', 'cold', 'warm', 'again']);
    rule(3);
    for (const [title, row] of Object.entries(ours.rows)) print([title, ...[row.cold, row.middle, row.again].map(number)]);
  }
  console.log('\nStore\n');
  print(['', ...ran.map((engine) => engine.label)]);
  rule(ran.length);
  for (const [title, key] of [['bytes a span on disk', 'bytes_per_span'], ['filled, s', 'fill_s'], ['filled and merged, s', 'fill_and_merge_s'], ['most memory while asking, MiB', 'most_memory_mib']])
    print([title, ...ran.map((engine) => engine.facts[key] ?? '')]);
}

function growth(dirs) {
  const sizes = dirs.map((dir) => ({ vitrine: read(dir, 'vitrine'), duckdb: read(dir, 'duckdb') }));
  const label = (size) => Number(size.vitrine.facts.spans).toLocaleString('en-US');
  for (const [engine, name] of engines.slice(0, 2)) {
    const there = sizes.filter((size) => size[engine]);
    console.log(`\n${name}: wall ms (CPU ms) at so many spans\n`);
    print(['', ...there.map(label)]);
    rule(there.length);
    for (const title of Object.values(titles)) print([title, ...there.map((size) => ((row) => (row ? `${number(row.middle)} (${number(row.cpu)})` : '–'))(size[engine].rows[title]))]);
    print(['most memory held, MiB', ...there.map((size) => size[engine].facts.most_memory_mib ?? '')]);
    print(['bytes a span', ...there.map((size) => size[engine].facts.bytes_per_span ?? '')]);
  }
}

const [what, ...dirs] = process.argv.slice(2);
if (what === 'growth') growth(dirs);
else sideBySide(what);
