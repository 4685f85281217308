// The program from the command line: what each command answers from a server and from a directory, as tables, JSON and CSV; how it
// fails; how it behaves on a terminal.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile, readdir, access, open } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort, program, root, run, serve, tempDir } from './lib/vitrine.mjs';

const sample = join(root, 'tests/samples/storefront-console.txt');
const none = { HOME: '/nonexistent', XDG_CONFIG_HOME: '/nonexistent', XDG_DATA_HOME: '/nonexistent' };
const vitrine = (args, options = {}) => run(args, { ...options, env: { ...none, ...options.env } });

/** Runs a command that must succeed and answers its standard output. */
async function ok(args, options) {
  const { code, stdout, stderr } = await vitrine(args, options);
  assert.equal(code, 0, `vitrine ${args.join(' ')}: ${stderr}${stdout}`);
  return stdout;
}
const json = async (args, options) => JSON.parse(await ok([...args, '--json'], options));

/** The same on a terminal of that many columns: what reached it, bytes as they were. */
async function onTerminal(args, { columns = 100, env = {} } = {}) {
  const quoted = [program, ...args].map((a) => `'${a.replaceAll("'", "'\\''")}'`).join(' ');
  const inner = `stty cols ${columns} rows 40; ${quoted}; echo "[exit $?]"`;
  const { stdout } = await run(['-qec', inner, '/dev/null'], { command: 'script', env: { ...none, NO_COLOR: '', TERM: 'xterm-256color', ...env } });
  return stdout.replaceAll('\r\n', '\n');
}
const colourless = (text) => text.replace(/\x1b\[[0-9;]*m/g, '');

/** A line of CSV as its fields; enough for what is written here. */
function parseCsv(text) {
  const rows = [[]];
  for (const m of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,\n"]*))(,|\n)/g)) {
    rows.at(-1).push(m[1] === undefined ? m[2] : m[1].replaceAll('""', '"'));
    if (m[3] === '\n') rows.push([]);
  }
  rows.pop();
  return rows;
}

/** A directory that holds the sample. */
async function sampleDir(t) {
  const dir = await tempDir(t);
  await ok(['import', '--data', dir, sample]);
  return dir;
}

/** A span of OTLP JSON, with what it is about. */
function otlp({ trace = '1', span = '1', parent, name = 'chat gpt-4o', attributes = {}, service = 'shop', ms = Date.now() - 1000, code = 1 } = {}) {
  const value = (v) => (typeof v === 'number' ? { intValue: String(v) } : { stringValue: v });
  const list = (o) => Object.entries(o).map(([key, v]) => ({ key, value: value(v) }));
  return {
    resourceSpans: [{
      resource: { attributes: list({ 'service.name': service }) },
      scopeSpans: [{
        spans: [{
          traceId: trace.padStart(32, '0'), spanId: span.padStart(16, '0'), ...(parent && { parentSpanId: parent.padStart(16, '0') }),
          name, kind: 3, startTimeUnixNano: `${ms}000000`, endTimeUnixNano: `${ms + 250}000000`, attributes: list(attributes), status: { code },
        }],
      }],
    }],
  };
}
const llm = { 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o', 'gen_ai.usage.input_tokens': 100, 'gen_ai.usage.output_tokens': 20, 'user.id': 'ada', 'session.id': 'thread-7' };

test('the storefront’s console text becomes whole traces', async (t) => {
  const dir = await sampleDir(t);
  const { traces } = await json(['traces', '--data', dir, '--from', '0']);
  assert.equal(traces.length, 2);
  for (const { trace_id, operation, span_count, llm_calls } of traces) {
    assert.deepEqual([operation, span_count, llm_calls], ['chat.continue_thread', 2, 1]);
    const trace = await json(['trace', trace_id, '--data', dir]);
    const [turn, call] = trace.spans;
    assert.deepEqual([turn.kind, turn.depth, call.kind, call.depth], ['turn', 0, 'llm', 1]);
    assert.equal(call.parent_span_id, turn.span_id);
    assert.equal(turn.tokens, undefined, 'a turn that reports no tokens shows none');
  }
});

test('a server and a directory answer alike', async (t) => {
  const server = await serve(t);
  const dir = await sampleDir(t);
  assert.match(await ok(['import', '--url', server.url, sample]), /^4 spans from /);
  for (const args of [['traces', '--from', '0'], ['query', '-g', 'model', '--from', '0']]) {
    const strip = ({ elapsed_ms, scanned, to_ms, from_ms, ...rest }) => rest;
    assert.deepEqual(strip(await json([...args, '--url', server.url])), strip(await json([...args, '--data', dir])));
  }
});

test('each command answers as a table, as JSON and as CSV', async (t) => {
  const server = await serve(t);
  await server.post('/v1/traces', otlp({ attributes: llm, trace: 'a1' }));
  await server.post('/v1/traces', otlp({ attributes: { ...llm, 'user.id': 'ben, "b"' }, trace: 'a2', span: '2', code: 2 }));
  const commands = {
    traces: { array: 'traces', column: 'trace_id', table: /OPERATION.*DURATION[\s\S]*chat gpt-4o/ },
    threads: { array: 'threads', column: 'thread_id', table: /TURNS[\s\S]*thread-7/ },
    users: { array: 'users', column: 'user_id', table: /CALLS[\s\S]*ada/ },
    overview: { array: 'models', column: 'model', table: /error rate +50 %[\s\S]*MODEL[\s\S]*gpt-4o/ },
    query: { array: 'series', column: 'count', table: /COUNT[\s\S]*chat gpt-4o +gpt-4o +2 / },
    services: { array: 'calls', column: 'from', table: /SERVICE[\s\S]*shop[\s\S]*openai/ },
    'sql SELECT model, count(*) AS n FROM spans GROUP BY model': { array: 'rows', column: 'model', table: /model +n\ngpt-4o +2\n/ },
    'prices gpt-4o-mini': { array: 'prices', column: 'model', table: /INPUT[\s\S]*gpt-4o-mini/ },
  };
  for (const [command, expected] of Object.entries(commands)) {
    const [name, ...rest] = command.split(' ');
    const args = [name, ...(rest.length ? [rest.join(' ')] : []), '--url', server.url];
    assert.match(await ok(args), expected.table, command);
    const answer = await json(args);
    assert.ok(answer[expected.array].length > 0, `${command}: ${JSON.stringify(answer)}`);
    const rows = parseCsv(await ok([...args, '--csv']));
    assert.ok(rows[0].includes(expected.column), `${command}: ${rows[0]}`);
    assert.ok(rows.length > 1 && rows.every((row) => row.length === rows[0].length), `${command}: ${JSON.stringify(rows)}`);
  }
  const users = parseCsv(await ok(['users', '--url', server.url, '--csv'])).map((row) => row[0]);
  assert.ok(users.includes('ben, "b"'), 'commas and quotes survive CSV');
});

test('a trace is found by id, by its beginning, as the newest, and by the sender’s id', async (t) => {
  const dir = await sampleDir(t);
  const { traces } = await json(['traces', '--data', dir, '--from', '0']);
  const id = traces[0].trace_id;
  for (const word of [id, id.slice(0, 8), 'last']) assert.equal((await json(['trace', word, '--data', dir])).trace_id, id, word);
  const theirs = traces.find((trace) => trace.user_id === 'user-0').trace_id;
  assert.equal((await json(['trace', '1clklvd1myamwtmrcq2', '--data', dir])).trace_id, theirs);
  const missing = await vitrine(['trace', 'ffffffff', '--data', dir]);
  assert.equal(missing.code, 1);
  assert.match(missing.stderr, /no trace/);
});

test('a trace is drawn as a tree with bars, times, tokens, errors', async (t) => {
  const dir = await sampleDir(t);
  const text = await ok(['trace', 'last', '--data', dir]);
  assert.match(text, /^chat\.continue_thread · OK · 7 ms · ai-storefront/);
  assert.match(text, /● chat\.continue_thread +━+ +7 ms\n/);
  assert.match(text, /└─ ● openai\.chat\.completions\.create gpt-4o-mini +[━╸╺]+ +7 ms +101→52/);
  assert.match(await ok(['trace', 'last', '--data', dir, '--full']), /llm\.vendor = openai/);
});

// ---- import ----

test('every form is found out, also compressed and from a pipe', async (t) => {
  const dir = await tempDir(t);
  const { gzipSync } = await import('node:zlib');
  const text = await readFile(sample);
  const two = [otlp({ attributes: llm, trace: 'b1' }), otlp({ attributes: llm, trace: 'b2', span: '2' })];
  const lines = JSON.parse(`[${(await ok(['trace', 'last', '--json', '--data', await sampleDir(t)])).trim()}]`);
  const event = (i) => ({ topic: 'console', timestamp: Date.now(), function: { type: 'action', path: 'chat:turn', request_id: `r${i}` }, log_level: 'INFO',
    message: `'🔍 TRACE: ${JSON.stringify({ timestamp: new Date().toISOString(), level: 'INFO', message: 'TRACE: openai.chat', trace: { traceId: `t${i}`, spanId: `s${i}`, operation: 'openai.chat', duration: '7ms', status: 'OK' }, attributes: { 'llm.request.model': 'gpt-4o' }, events: [] })}'` });
  const files = {
    'console.txt': [text, 4, 'trace log lines'],
    'console.txt.gz': [Buffer.concat([gzipSync(text.subarray(0, 700)), gzipSync(text.subarray(700))]), 4, 'trace log lines'],
    'spans.ndjson': [lines[0].spans.map((span) => JSON.stringify(span)).join('\n') + '\n', 2, 'trace log lines'],
    'otlp.json': [JSON.stringify(two[0], null, 2), 1, 'OTLP JSON'],
    'otlp.jsonl': [two.map((r) => JSON.stringify(r)).join('\n'), 2, 'OTLP JSON'],
    'otlp.pb': [protobuf('c1', '1'), 1, 'OTLP protobuf'],
    'framed.pb': [Buffer.concat(['c2', 'c3'].map((id) => framed(protobuf(id, '1')))), 2, 'OTLP protobuf with lengths'],
    'convex.json': [JSON.stringify([event(1), event(2)]), 2, 'Convex log stream'],
    'convex.jsonl': [`${JSON.stringify(event(3))}\n${JSON.stringify(event(4))}\n`, 2, 'Convex log stream'],
  };
  for (const [name, [content, spans, form]] of Object.entries(files)) {
    await writeFile(join(dir, name), content);
    for (const target of [['--data', join(dir, `data-${name}`)]]) {
      const stdout = await ok(['import', ...target, join(dir, name)]);
      assert.match(stdout, new RegExp(`^${spans} spans? from .*${name.replaceAll('.', '\\.')} \\(${form}\\)`), name);
    }
    assert.match(await ok(['import', '--data', join(dir, `pipe-${name}`), '-'], { input: content }), new RegExp(`^${spans} spans? from standard input`), name);
  }
  if (spawnSync('zstd', ['--version']).status === 0) {
    const packed = spawnSync('zstd', ['-c', sample]).stdout;
    assert.match(await ok(['import', '--data', join(dir, 'zstd'), '-'], { input: packed }), /^4 spans/);
  }
});

test('every form reaches a server too', async (t) => {
  const server = await serve(t);
  const dir = await tempDir(t);
  const event = { topic: 'console', timestamp: 1755358027073, function: { path: 'chat:turn', request_id: 'r' }, log_level: 'INFO',
    message: `'🔍 TRACE: ${JSON.stringify({ timestamp: '2025-08-16T15:27:07.073Z', level: 'INFO', message: 'TRACE: convex.call', trace: { traceId: 'x', spanId: 'y', operation: 'convex.call', duration: '7ms', status: 'OK' }, attributes: {}, events: [] })}'` };
  const files = { 'a.txt': await readFile(sample), 'b.json': JSON.stringify(otlp({ name: 'json.call', trace: 'd1' })), 'c.pb': protobuf('d2', '1'), 'd.json': JSON.stringify([event]) };
  for (const [name, content] of Object.entries(files)) await writeFile(join(dir, name), content);
  const answer = JSON.parse(await ok(['import', '--json', '--url', server.url, ...Object.keys(files).map((name) => join(dir, name))]));
  assert.deepEqual(answer, { accepted: 7, rejected: 0, ignored: 0, errors: [] });
  const { traces } = await json(['traces', '--from', '0', '--url', server.url]);
  assert.deepEqual(traces.map((trace) => trace.operation).sort(), ['chat.continue_thread', 'chat.continue_thread', 'convex.call', 'json.call', 'pb.call']);
});

test('what is refused is named with its line, the rest is kept, and the exit status says so', async (t) => {
  const dir = await tempDir(t);
  const good = (await readFile(sample, 'utf8')).trimEnd();
  const path = join(dir, 'cut.log');
  await writeFile(path, `${good}\nsome other line\n🔍 TRACE: {\n  "timestamp": "2026-11-23T18:59:51.722Z",\n  "trace": {\n`);
  const { code, stdout, stderr } = await vitrine(['import', '--data', join(dir, 'data'), path]);
  assert.equal(code, 1);
  assert.match(stdout, /^4 spans .*1 other lines?; 1 refused\n$/m);
  const line = good.split('\n').length + 2;
  assert.match(stderr, new RegExp(`cut\\.log:${line}: `));
  const report = JSON.parse((await vitrine(['import', '--json', '--data', join(dir, 'data2'), path])).stdout);
  assert.equal(report.errors[0].line, line);
});

test('a large log goes through in pieces, its lines counted on', async (t) => {
  const dir = await tempDir(t);
  const server = await serve(t);
  const one = (i) => JSON.stringify({ timestamp: new Date(Date.now() - 60000).toISOString(), level: 'INFO', message: 'TRACE: openai.chat', trace: { traceId: `t${i}`, spanId: `s${i}`, operation: 'openai.chat', duration: '7ms', status: 'OK' }, attributes: { 'llm.request.model': 'gpt-4o', note: 'x'.repeat(400) }, events: [] });
  const lines = Array.from({ length: 20000 }, (_, i) => one(i));
  lines[15000] = '{"timestamp":"2026-11-23T18:59:51.722Z","trace":{"traceId":"x","spanId":"","operation":7}}';
  const path = join(dir, 'large.log');
  await writeFile(path, lines.join('\n'));
  for (const target of [['--data', join(dir, 'data')], ['--url', server.url]]) {
    const { code, stdout, stderr } = await vitrine(['import', ...target, path]);
    assert.equal(code, 1);
    assert.match(stdout, /^19,999 spans/);
    assert.match(stderr, /large\.log:15001: /);
    const { rows } = await json(['sql', 'SELECT count(*), count(DISTINCT trace_id) FROM spans', ...target]);
    assert.deepEqual(rows, [[19999, 19999]]);
  }
});

test('files that hold nothing known, are damaged or are not there fail with words', async (t) => {
  const dir = await tempDir(t);
  const cases = [
    ['other.txt', 'hello\nworld\n', /holds no traces that are known here/],
    ['cut.gz', (await import('node:zlib')).gzipSync(await readFile(sample)).subarray(0, 300), /broken gzip data near byte \d+/],
    ['nowhere.log', null, /nowhere\.log: No such file/],
  ];
  for (const [name, content, words] of cases) {
    if (content !== null) await writeFile(join(dir, name), content);
    const { code, stderr } = await vitrine(['import', '--data', join(dir, 'data'), join(dir, name)]);
    assert.equal(code, 1, name);
    assert.match(stderr, words);
  }
  const directory = await vitrine(['import', '--data', join(dir, 'data'), dir]);
  assert.match(directory.stderr, /is a directory/);
  await writeFile(join(dir, 'empty.log'), '');
  assert.match(await ok(['import', '--data', join(dir, 'data'), join(dir, 'empty.log')]), /^0 spans/);
});

test('import into a directory that a server has open goes through the server', async (t) => {
  const server = await serve(t);
  const refused = await vitrine(['import', '--data', server.dir, sample]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /in use by another vitrine/);
});

test('what is exported comes back whole', async (t) => {
  const server = await serve(t);
  const dir = await tempDir(t);
  await ok(['import', '--url', server.url, sample]);
  await server.post('/v1/traces', otlp({ attributes: { ...llm, note: 'a "quoted", comma\nand line' }, trace: 'ab' }));
  const spans = async (target) => (await json(['sql', 'SELECT span_id, parent_span_id, operation, kind, duration_ms, tokens_input, cost_usd, attributes FROM spans ORDER BY span_id', ...target])).rows;
  const before = await spans(['--url', server.url]);
  assert.equal(before.length, 5);
  for (const [i, source] of [['--url', server.url], ['--data', server.dir]].entries()) {
    const file = join(dir, `all${i}.ndjson`);
    const { code, stderr } = await vitrine(['export', '-o', file, ...source]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /^5 spans in /);
    await ok(['import', '--data', join(dir, `again${i}`), file]);
    assert.deepEqual(await spans(['--data', join(dir, `again${i}`)]), before);
    assert.equal(await ok(['export', ...source]), await readFile(file, 'utf8'));
    const csv = parseCsv(await ok(['export', 'kind:llm', '--format', 'csv', ...source]));
    assert.equal(csv.length, 1 + 3);
    assert.ok(csv.every((row) => row.length === csv[0].length), JSON.stringify(csv));
    const parquet = join(dir, `all${i}.parquet`);
    assert.equal((await vitrine(['export', '--format', 'parquet', '-o', parquet, ...source])).code, 0);
    const bytes = await readFile(parquet);
    assert.deepEqual([bytes.subarray(0, 4).toString(), bytes.subarray(-4).toString()], ['PAR1', 'PAR1']);
    const { DuckDBInstance } = await import('@duckdb/node-api');
    const connection = await (await DuckDBInstance.create()).connect();
    const reader = await connection.runAndReadAll(`SELECT count(*)::INT, count(DISTINCT span_id)::INT, sum(tokens_input)::INT FROM '${parquet}'`);
    assert.deepEqual(reader.getRows(), [[5, 5, 301]]);
  }
  assert.deepEqual((await readdir(dir)).filter((name) => name.includes('partial')), [], 'nothing half is left');
});

// ---- failing ----

test('wrong usage exits with 2 and says what was expected', async (t) => {
  const dir = await sampleDir(t);
  const config = join(dir, 'vitrine.yaml');
  await writeFile(config, 'listen: 127.0.0.1:0\nretntion: 30d\n');
  const cases = [
    [[], /Usage: vitrine COMMAND/],
    [['tracs'], /no command 'tracs'\n.*did you mean 'traces'/],
    [['keys'], /keys what\?\n.*add\|list\|revoke/],
    [['--data', 'x'], /options stand after the command/],
    [['traces', '--limt', '3'], /no option --limt\n.*--limit/],
    [['traces', '--limit', '0'], /--limit: expected a number from 1/],
    [['traces', '--limit'], /--limit needs a value/],
    [['trace'], /ID is missing/],
    [['trace', 'a', 'b'], /did not expect 'b'/],
    [['traces', 'status:bad', '--data', dir], /status:bad\n {9}\^\n.*expected/],
    [['traces', 'nosuch:1', '--data', dir], /no field 'nosuch'/],
    [['sql', 'SELEC 1', '--data', dir], /syntax error/],
    [['query', '-s', 'median(duration_ms)', '--data', dir], /median/],
    [['serve', '--retention', 'soon'], /--retention: expected an age/],
    [['serve', '--upstream', 'openai'], /--upstream: expected NAME=/],
    [['serve', '--tls-cert', 'x.pem'], /go together/],
    [['serve', '--config', config], /vitrine\.yaml:2: there is no setting 'retntion'\n.*'retention'/],
    [['delete', '--data', dir], /--user, --thread or --trace/],
    [['delete', '--user', 'a', '--trace', 'b', '--data', dir], /one thing at a time/],
    [['export', '--format', 'parquet', '--data', dir], /needs a name/],
    [['export', 'status:bad', '--data', dir], /status:bad\n {9}\^/],
    [['dashboards', 'kibana'], /expected grafana, grafana-clickhouse, datadog or prometheus/],
    [['completion', 'tcsh'], /expected bash, zsh or fish/],
    [['traces', '--url', 'http://x', '--data', dir], /name two places/],
    [['traces', '--url', 'ftp://x'], /is no address of a server/],
    [['keys', 'add', 'ci', '--scopes', 'write', '--data', dir], /write/],
  ];
  for (const [args, words] of cases) {
    const { code, stdout, stderr } = await vitrine(args);
    assert.equal(code, 2, `vitrine ${args.join(' ')}: ${code} ${stderr}`);
    assert.match(stderr, words, args.join(' '));
    assert.equal(stdout, '');
  }
});

test('a server that is not there, or is something else, is told apart', async (t) => {
  const { createServer } = await import('node:http');
  const other = createServer((request, response) => response.writeHead(404).end('not here')).listen(0, '127.0.0.1');
  t.after(() => other.close());
  await once(other, 'listening');
  const gone = await vitrine(['traces', '--url', 'http://127.0.0.1:1']);
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /nothing listens at http:\/\/127\.0\.0\.1:1\n.*vitrine serve/);
  const else_ = await vitrine(['traces', '--url', `http://127.0.0.1:${other.address().port}`]);
  assert.equal(else_.code, 1);
  assert.match(else_.stderr, /status 404\n.*is this a vitrine server/);
  const tls = await vitrine(['traces', '--url', `https://127.0.0.1:${other.address().port}`]);
  assert.equal(tls.code, 1);
  assert.match(tls.stderr, /no TLS there/);
  const tail = await vitrine(['tail', '--url', 'http://127.0.0.1:1']);
  assert.equal(tail.code, 1);
  assert.match(tail.stderr, /nothing listens/);
});

test('flag beats environment beats file', async (t) => {
  const dir = await sampleDir(t);
  const config = join(dir, 'config.yaml');
  await writeFile(config, `data: ${dir}\nurl: http://127.0.0.1:1\n`);
  const count = async (args, env) => (await json(['traces', '--from', '0', ...args], { env })).traces.length;
  assert.equal(await count([], { VITRINE_DATA: dir }), 2);
  assert.equal(await count(['--config', config, '--data', dir]), 2);
  const file = await vitrine(['traces', '--config', config]);
  assert.match(file.stderr, /nothing listens at http:\/\/127\.0\.0\.1:1/);
  assert.equal(await count([], { VITRINE_CONFIG: config, VITRINE_DATA: dir }), 2, 'a directory of the environment beats a URL of the file');
});

// ---- keys, deletion, doctor ----

test('a key made in the directory opens a running server, until it is revoked', async (t) => {
  const server = await serve(t, { args: ['--require-key'] });
  const denied = await vitrine(['traces', '--url', server.url]);
  assert.equal(denied.code, 1);
  assert.match(denied.stderr, /VITRINE_KEY or --key/);
  const key = (await ok(['keys', 'add', 'ci', '--data', server.dir])).trim();
  assert.match(key, /^vt_/);
  const env = { VITRINE_KEY: key, VITRINE_URL: server.url };
  for (let i = 0; (await vitrine(['traces'], { env })).code !== 0; i++) {
    assert.ok(i < 300, 'the server never learned of the key');
    await new Promise((done) => setTimeout(done, 100));
  }
  const { keys } = await json(['keys', 'list', '--data', server.dir]);
  assert.deepEqual(keys.map(({ name, scopes }) => [name, scopes]), [['ci', 'ingest,read']]);
  assert.ok(!JSON.stringify(keys).includes(key.slice(12)), 'the list holds no secret');
  await ok(['keys', 'revoke', 'ci', '--data', server.dir]);
  for (let i = 0; (await vitrine(['traces'], { env })).code === 0; i++) {
    assert.ok(i < 300, 'the server went on taking the key');
    await new Promise((done) => setTimeout(done, 100));
  }
  assert.match(await ok(['keys', 'list', '--all', '--csv', '--data', server.dir]), /^id,name,scopes,project,created,revoked\n.*ci,"ingest,read",,20/);
});

test('deletion asks, and then a user is gone from directory and server', async (t) => {
  const dir = await sampleDir(t);
  const server = await serve(t);
  await ok(['import', '--url', server.url, sample]);
  for (const target of [['--data', dir], ['--url', server.url]]) {
    const asked = await vitrine(['delete', '--user', 'user-0', ...target]);
    assert.equal(asked.code, 2);
    assert.match(asked.stderr, /--yes/);
    assert.deepEqual(await json(['delete', '--user', 'user-0', '--yes', ...target]), { spans: 2, scores: 0 });
    const { traces } = await json(['traces', '--from', '0', ...target]);
    assert.deepEqual(traces.map((trace) => trace.user_id), ['user-1']);
  }
});

test('what a browser saves of an export has a name that says what it is', async (t) => {
  const server = await serve(t, { grpc: false });
  for (const format of ['csv', 'ndjson']) {
    const answer = await server.fetch(`/api/v1/export?format=${format}`);
    await answer.text();
    assert.equal(answer.headers.get('content-disposition'), `attachment; filename="vitrine-spans.${format}"`);
  }
});

test('doctor finds a healthy server healthy, and says what is wrong where it is not', async (t) => {
  const server = await serve(t);
  const { code, stdout } = await vitrine(['doctor'], { env: { VITRINE_URL: server.url, VITRINE_DATA: server.dir } });
  assert.equal(code, 0, stdout);
  for (const words of [/✓ server .*is ready/, /✓ data .*can be written/, /✓ key .*ingest, read, admin/, /✓ test span .*found again/, /All is well/]) assert.match(stdout, words);
  const { checks } = JSON.parse((await vitrine(['doctor', '--json', '--url', server.url])).stdout);
  assert.ok(checks.find((c) => c.check === 'test span' && c.result === 'ok'));
  const gone = await vitrine(['doctor', '--url', 'http://127.0.0.1:1']);
  assert.equal(gone.code, 1);
  assert.match(gone.stdout, /✗ server .*nothing listens/);
});

test('doctor --check names a segment in which one byte is wrong', async (t) => {
  const dir = await sampleDir(t);
  assert.match(await ok(['doctor', '--check', '--data', dir]), /1 segment with 4 spans/);
  const day = join(dir, 'spans', (await readdir(join(dir, 'spans')))[0]);
  const name = (await readdir(day)).find((n) => n.endsWith('.parquet'));
  const file = await open(join(day, name), 'r+');
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, 200);
  await file.write(Buffer.from([buffer[0] ^ 0xff]), 0, 1, 200);
  await file.close();
  const { code, stdout } = await vitrine(['doctor', '--check', '--data', dir]);
  assert.equal(code, 1);
  assert.match(stdout, new RegExp(`✗ check .*${name}`));
});

test('doctor looks at the directory of the server that it asks, and names there what was set aside', async (t) => {
  const dir = await sampleDir(t), server = await serve(t, { dir, grpc: false }); // a start makes the log a file
  await server.stop();
  const day = join(dir, 'spans', (await readdir(join(dir, 'spans')))[0]);
  const name = (await readdir(day)).find((n) => n.endsWith('.parquet'));
  await writeFile(join(day, name), 'PAR1');
  const again = await serve(t, { dir, grpc: false });
  const { code, stdout } = await vitrine(['doctor', '--check', '--url', again.url]);
  assert.equal(code, 1, stdout);
  assert.match(stdout, new RegExp(`✓ data +${dir} can be written`));
  assert.match(stdout, /✗ store +1 damaged segment is set aside/);
  assert.match(stdout, new RegExp(`✗ check .*${name}`));
});

test('a file where a directory is meant, and a trace that is not there, come with what to do', async (t) => {
  const dir = await sampleDir(t);
  const file = await vitrine(['traces', '--data', sample]);
  assert.match(file.stderr, /is a file, not a data directory[\s\S]*vitrine import/);
  const gone = await vitrine(['trace', 'nope', '--data', dir]);
  assert.equal(gone.code, 1);
  assert.match(gone.stderr, /there is no trace[\s\S]*vitrine traces/);
  assert.match((await vitrine(['alerts', 'check', join(dir, 'none.yaml')])).stderr, /none\.yaml: cannot be read: No such file/);
});

test('every command that reads says that its directory is not there', async (t) => {
  const nowhere = join(await tempDir(t), 'nothing');
  for (const args of [['trace', '12ab'], ['trace', 'last'], ['traces'], ['thread', 'ada-1'], ['threads'], ['users'], ['overview'], ['query'], ['sql', 'SELECT 1'], ['alerts', 'check', join(root, 'integrations/datadog/monitors.yaml')], ['export']]) {
    const { code, signal, stderr } = await vitrine([...args, '--data', nowhere]);
    assert.deepEqual([code, signal], [1, null], `${args[0]}: ${stderr}`);
    assert.match(stderr, /there is no data directory .*nothing/, args[0]);
    assert.match(stderr, /makes it/, args[0]);
  }
});

// ---- tail ----

/** `vitrine tail` under way: lines as they come. */
function tail(t, args) {
  const child = spawn(program, ['tail', ...args], { env: { ...process.env, ...none }, stdio: ['ignore', 'pipe', 'pipe'] });
  const state = { child, stdout: '', stderr: '', exit: once(child, 'close').then(([code]) => code) };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (state[name] += text));
  t.after(() => child.kill('SIGKILL'));
  state.until = async (found, what) => {
    for (let i = 0; !found(state); i++) {
      assert.ok(i < 1200, `${what}: ${state.stdout}${state.stderr}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  };
  return state;
}

test('tail shows what matches as it comes, and ends when told to', async (t) => {
  const server = await serve(t);
  const following = tail(t, ['status:error', '-n', '1', '--url', server.url]);
  await server.until('/api/v1/status', (status) => status.live_clients === 1);
  await server.post('/v1/traces', otlp({ trace: 'e1', attributes: llm }));
  await server.post('/v1/traces', otlp({ trace: 'e2', span: '2', code: 2, attributes: llm }));
  assert.equal(await following.exit, 0);
  assert.equal(JSON.parse(following.stdout).trace_id, 'e2'.padStart(32, '0'));
});

test('tail connects again when the server comes back', async (t) => {
  const first = await serve(t, { port: await freePort() });
  const following = tail(t, ['--url', first.url]);
  await first.until('/api/v1/status', (status) => status.live_clients === 1);
  await first.stop();
  await following.until((s) => /connection lost/.test(s.stderr), 'the loss was not told');
  const second = await serve(t, { args: ['--listen', `127.0.0.1:${first.port}`] });
  await following.until((s) => /connected again/.test(s.stderr), 'it did not come back');
  await second.post('/v1/traces', otlp({ trace: 'f1' }));
  await following.until((s) => s.stdout.includes('f1'.padStart(32, '0')), 'the span did not come');
});

test('tail of a directory, and with --poll, asks again', async (t) => {
  const server = await serve(t);
  for (const [i, source] of [['--url', server.url, '--poll'], ['--data', server.dir]].entries()) {
    const following = tail(t, ['operation:poll.*', '-n', '1', ...source]);
    // It shows what comes once it looks, and when that is nobody knows from outside.
    for (let n = 0; n < 120 && !following.stdout; n++) {
      await server.post('/v1/traces', otlp({ trace: `9${i}${n}`, span: `9${i}${n}`, name: `poll.${i}` }));
      await new Promise((done) => setTimeout(done, 500));
    }
    await following.until((s) => s.stdout.includes(`poll.${i}`), 'the span did not come');
    assert.equal(await following.exit, 0);
  }
});

test('a filter without meaning ends tail with its column', async (t) => {
  const server = await serve(t);
  const { code, stderr } = await vitrine(['tail', 'status:bad', '--url', server.url]);
  assert.equal(code, 2);
  assert.match(stderr, /status:bad\n {9}\^/);
});

// ---- demo ----

test('demo plays conversations and ends by itself where there is no terminal', async (t) => {
  const examples = join(root, 'build/examples/storefront');
  if (!process.env.VITRINE && (await access(examples).then(() => false, () => true))) return t.skip('the examples are not built');
  const temporary = await tempDir(t);
  const { code, stdout, stderr } = await vitrine(['demo', '--listen', '127.0.0.1:0'], { env: { TMPDIR: temporary }, timeoutMs: 120_000 });
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /TRACE +OPERATION[\s\S]* fallback [\s\S]*chat\.start_thread/);
  assert.match(stdout, /━/);
  assert.match(stdout, /Where to look next/);
  assert.deepEqual(await readdir(temporary), [], 'nothing is left behind');
});

test('trace says when an event happened to the microsecond', async (t) => {
  const dir = await tempDir(t), start = BigInt(Date.now() - 60_000) * 1_000_000n + 900_000n;
  const span = { traceId: 'ab'.repeat(16), spanId: 'cd'.repeat(8), name: 'chat', kind: 1, startTimeUnixNano: String(start), endTimeUnixNano: String(start + 5_000_000n),
    events: [{ name: 'at.once', timeUnixNano: String(start) }, { name: 'soon', timeUnixNano: String(start + 2_000_000n) }] };
  await writeFile(join(dir, 'in.json'), JSON.stringify({ resourceSpans: [{ scopeSpans: [{ spans: [span] }] }] }));
  await ok(['import', join(dir, 'in.json'), '--data', join(dir, 'data')]);
  const text = await ok(['trace', 'last', '--data', join(dir, 'data')]);
  const at = (name) => { const [, n, unit] = text.match(new RegExp(`${name} \\+([\\d.]+) (\\S+)`)) ?? assert.fail(text); return Number(n) * { ns: 1e-6, µs: 1e-3, ms: 1 }[unit]; };
  assert.ok(at('at.once') < 0.1, text); // not the 900 µs that the start stands past its millisecond
  assert.ok(Math.abs(at('soon') - 2) < 0.1, text);
});

// ---- help ----

test('help serve says the default of every limit', async () => {
  const limits = (await ok(['help', 'serve'])).split('\nLimits\n')[1].split('\n\n')[0];
  const options = limits.split(/\n(?= {2}--)/).filter((option) => /^ *--[\w-]+ [A-Z]/.test(option)); // a switch has none
  assert.ok(options.length > 10, limits);
  for (const option of options) assert.match(option, /\(default: /);
});

test('help explains every command that it lists', async () => {
  const overview = await ok(['help']);
  const commands = [...overview.matchAll(/^ {2}([a-z]+(?: (?:add|list|revoke|check|test|run|silence|recompute))?)\b/gm)].map((m) => m[1]);
  assert.ok(commands.length > 20, overview);
  for (const command of commands) {
    const text = await ok(['help', ...command.split(' ')]);
    assert.match(text, new RegExp(`^vitrine ${command} — `));
    assert.equal(await ok([...command.split(' '), '--help']), text);
    for (const line of text.split('\n')) assert.ok([...line].length <= 100, `${command}: ${line}`);
  }
  assert.match(await ok(['--version']), /^vitrine \d+\.\d+\.\d+\n$/);
});

test('the man page is right troff and names every option', async (t) => {
  const page = await ok(['help', '--man']);
  const checks = [['mandoc', ['-T', 'lint', '-W', 'warning']], ['man', ['--warnings', '-E', 'UTF-8', '-l', '-Tutf8', '-Z', '-']]];
  let checked = 0;
  for (const [command, args] of checks) {
    const result = spawnSync(command, args, { input: page, encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8' } });
    if (result.error) continue;
    checked++;
    const said = command === 'man' ? result.stderr : result.stdout + result.stderr;
    assert.equal(said.trim(), '', command);
  }
  if (!checked) t.diagnostic('neither mandoc nor man is here');
  for (const option of (await ok(['help', 'serve'])).matchAll(/^ {2}(--[a-z-]+)/gm)) assert.ok(page.includes(option[1].replaceAll('-', '\\-')), option[1]);
});

test('completions are right shell', async () => {
  for (const shell of ['bash', 'zsh', 'fish']) {
    const script = await ok(['completion', shell]);
    assert.ok(script.includes('traces') && script.includes('group-by'), shell);
    const result = spawnSync(shell, shell === 'fish' ? ['--no-execute'] : ['-n'], { input: script, encoding: 'utf8' });
    if (!result.error) assert.equal(result.stderr, '', shell);
  }
  const script = `${await ok(['completion', 'bash'])}\nCOMP_WORDS=(vitrine keys re); COMP_CWORD=2; _vitrine; echo "\${COMPREPLY[@]}"
COMP_WORDS=(vitrine traces --fr); COMP_CWORD=2; _vitrine; echo "\${COMPREPLY[@]}"; COMP_WORDS=(vitrine th); COMP_CWORD=1; _vitrine; echo "\${COMPREPLY[@]}"`;
  assert.equal(spawnSync('bash', [], { input: script, encoding: 'utf8' }).stdout, 'revoke\n--from\nthreads thread\n');
});

// ---- terminals ----

test('on a terminal tables fit its width and are coloured, unless NO_COLOR says otherwise', async (t) => {
  const server = await serve(t);
  const long = 'a very long operation name that goes on and on 日本語 🧥';
  await server.post('/v1/traces', otlp({ name: long, attributes: { ...llm, 'user.id': 'someone-with-a-long-id' }, code: 2 }));
  for (const columns of [40, 80, 140])
    for (const args of [['traces'], ['users'], ['trace', 'last'], ['overview'], ['services'], ['query', '-g', 'operation']]) {
      const text = await onTerminal([...args, '--url', server.url], { columns });
      assert.match(text, /\[exit 0\]/, text);
      for (const line of colourless(text).split('\n')) {
        const width = [...line].reduce((sum, c) => sum + (/[\u3000-\u9fff\u{1f300}-\u{1faff}]/u.test(c) ? 2 : 1), 0);
        assert.ok(width <= columns, `${args[0]} at ${columns}: ${width}: ${line}`);
      }
    }
  assert.match(await onTerminal(['traces', '--url', server.url]), /\x1b\[31mERROR\x1b\[0m/);
  assert.ok(!(await onTerminal(['traces', '--url', server.url], { env: { NO_COLOR: '1' } })).includes('\x1b'));
  assert.ok(!(await onTerminal(['traces', '--url', server.url], { env: { TERM: 'dumb' } })).includes('\x1b'));
  assert.ok(!(await ok(['traces', '--url', server.url])).includes('\x1b'));
  const ascii = await onTerminal(['trace', 'last', '--url', server.url], { env: { VITRINE_ASCII: '1' } });
  assert.ok(/^[\x00-\x7f]*$/.test(ascii), ascii);
});

test('nothing in the data steers the terminal', async (t) => {
  const server = await serve(t);
  const evil = 'x\u001b[2J\u001b]0;owned\u0007\u009b31m\u202egnp\r\n\u0008y';
  await server.post('/v1/traces', otlp({ name: evil, service: evil, attributes: { ...llm, 'user.id': evil, 'session.id': evil, 'gen_ai.request.model': evil, 'input.value': evil, 'output.value': evil, [evil]: evil } }));
  for (const args of [['traces'], ['trace', 'last'], ['trace', 'last', '--full'], ['threads'], ['users'], ['overview'], ['query'], ['services'], ['traces', '--json'],
    ['sql', 'SELECT operation, attributes FROM spans'], ['thread', evil], ['doctor']]) {
    const text = colourless(await onTerminal([...args, '--url', server.url]));
    // script's own prompt aside, nothing but printable text and line ends
    const bad = text.match(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e]/);
    assert.equal(bad, null, `${args[0]}: ${JSON.stringify(text.slice(Math.max(0, (bad?.index ?? 0) - 30), (bad?.index ?? 0) + 30))}`);
  }
});

test('import shows how far it is on a terminal only, and cleans up behind itself', async (t) => {
  const dir = await tempDir(t);
  const one = (i) => JSON.stringify({ timestamp: new Date().toISOString(), level: 'INFO', message: 'TRACE: openai.chat', trace: { traceId: `t${i}`, spanId: `s${i}`, operation: 'openai.chat', duration: '7ms', status: 'OK' }, attributes: { note: 'x'.repeat(1000) }, events: [] });
  await writeFile(join(dir, 'app.log'), Array.from({ length: 30000 }, (_, i) => one(i)).join('\n'));
  const text = await onTerminal(['import', '--data', join(dir, 'data'), join(dir, 'app.log')], { columns: 120 });
  assert.match(text, /█[^\n]*\d+ %  [\d.]+ MiB/);
  assert.match(text, /\r\x1b\[K\x1b?\[?1?m?30,000 spans from/);
  const piped = await vitrine(['import', '--data', join(dir, 'data2'), join(dir, 'app.log')]);
  assert.equal(piped.stderr, '');
});

// ---- protobuf by hand ----

function protobuf(trace, span) {
  const varint = (n) => { const out = []; for (; n > 127; n = Math.floor(n / 128)) out.push((n & 127) | 128); out.push(n); return Buffer.from(out); };
  const bytes = (field, content) => Buffer.concat([varint(field * 8 + 2), varint(content.length), Buffer.from(content)]);
  const fixed = (field, value) => { const b = Buffer.alloc(8); b.writeBigUInt64LE(value); return Buffer.concat([varint(field * 8 + 1), b]); };
  const start = BigInt(Date.now() - 1000) * 1_000_000n;
  const body = Buffer.concat([bytes(1, Buffer.from(trace.padStart(32, '0'), 'hex')), bytes(2, Buffer.from(span.padStart(16, '0'), 'hex')), bytes(5, 'pb.call'), fixed(7, start), fixed(8, start + 5_000_000n)]);
  const name = bytes(1, Buffer.concat([bytes(1, 'service.name'), bytes(2, bytes(1, 'shop'))]));
  return bytes(1, Buffer.concat([bytes(1, name), bytes(2, bytes(2, body))]));
}

function framed(message) {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(message.length);
  return Buffer.concat([length, message]);
}
