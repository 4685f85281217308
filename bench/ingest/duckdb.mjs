// DuckDB with the same rows: its appender from Node, rows made beforehand, then a checkpoint; and its bytes on disk.
//   node duckdb.mjs DIR_OF_A_STORE FILE.duckdb      needs @duckdb/node-api (tests/e2e after npm ci)
import { createRequire } from 'node:module';
import { readdirSync, statSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const require = createRequire(new URL('../../tests/e2e/package.json', import.meta.url));
const { DuckDBInstance } = require('@duckdb/node-api');
const [dir, file] = process.argv.slice(2);
const files = readdirSync(join(dir, 'spans'), { recursive: true }).filter((name) => name.endsWith('.parquet')).map((name) => `'${join(dir, 'spans', name)}'`);
const source = `read_parquet([${files}])`;
const KEPT = 50_000;

rmSync(file, { force: true });
const db = await DuckDBInstance.create(file);
const duck = await db.connect();
await duck.run(`CREATE TABLE span AS SELECT * FROM ${source} LIMIT 0`);
const rows = (await duck.runAndReadAll(`SELECT * FROM ${source} LIMIT ${KEPT}`)).getRows();
const types = (await duck.runAndReadAll(`SELECT * FROM ${source} LIMIT 1`)).columnTypes();
const cpu = process.cpuUsage();
const start = process.hrtime.bigint();
const appender = await duck.createAppender('span');
for (const row of rows) {
  for (let c = 0; c < row.length; c++) row[c] === null ? appender.appendNull() : appender.appendValue(row[c], types[c]);
  appender.endRow();
}
appender.closeSync();
await duck.run('CHECKPOINT');
const seconds = Number(process.hrtime.bigint() - start) / 1e9;
const used = process.cpuUsage(cpu);
console.log(`DuckDB appender from Node: ${Math.round(rows.length / seconds)} spans/s; CPU ${((used.user + used.system) / rows.length).toFixed(2)} us a span`);

await duck.run('DROP TABLE span');
const from = process.cpuUsage();
const begun = process.hrtime.bigint();
await duck.run(`CREATE TABLE span AS SELECT * FROM ${source}`);
await duck.run('CHECKPOINT');
const took = Number(process.hrtime.bigint() - begun) / 1e9;
const cpu2 = process.cpuUsage(from);
const [[count]] = (await duck.runAndReadAll('SELECT count(*)::INT FROM span')).getRows();
const [[blocks, size]] = (await duck.runAndReadAll('SELECT used_blocks, block_size FROM pragma_database_size()')).getRows();
console.log(`DuckDB, table made of Parquet: ${Math.round(count / took)} spans/s; CPU ${((cpu2.user + cpu2.system) / count).toFixed(2)} us a span; ${(Number(blocks) * Number(size) / count).toFixed(1)} bytes a span (file of ${statSync(file).size} bytes)`);
const ours = files.reduce((sum, name) => sum + statSync(name.slice(1, -1)).size, 0);
console.log(`store / DuckDB, bytes: ${(ours / (Number(blocks) * Number(size))).toFixed(2)}`);
