// Log files on their way to a server: Fluent Bit and Vector with the configurations of integrations/, run where they are
// installed (FLUENT_BIT and VECTOR name them elsewhere than on the PATH), and logrotate under a program that goes on writing.
import test from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { atEnd, program, root, run, serve, tempDir } from './lib/vitrine.mjs';
import { call, lines, turn } from './lib/storefront.mjs';

const read = (path) => readFile(join(root, 'integrations', path), 'utf8');
const fluentBit = process.env.FLUENT_BIT ?? 'fluent-bit', vector = process.env.VECTOR ?? 'vector';
const missing = async (command) => ((await run(['--version'], { command }).catch(() => ({ code: 1 }))).code === 0 ? false : `${command} is not installed`);

/** A console as the storefront's is: traces on one line and over many, and whatever else an application prints. */
const oneLine = (spans) => lines(spans);
const pretty = (spans) => spans.map((span) => `⏱️ op: 12ms\n🔍 TRACE: ${JSON.stringify(span, null, 2)}\n📝 Span Attributes: { a: 1 }\n\nready\n`).join('');

/** Starts a shipper; ended by SIGTERM, as its service manager would. */
function start(t, command, args, cwd) {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const end = once(child, 'close');
  let log = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (log += text));
  const stop = async () => (child.kill('SIGTERM'), await end);
  atEnd(t, stop);
  return { stop, log: () => log };
}

/** Spans known by the id of their trace; every one of `spans` must be there once. */
async function arrived(v, spans, shipper) {
  const ids = new Map();
  for (const { trace } of spans) ids.set(trace.traceId, (ids.get(trace.traceId) ?? 0) + 1);
  const found = await v.until('/api/v1/traces?limit=1000', ({ traces }) => traces.reduce((n, one) => n + one.span_count, 0) >= spans.length)
    .catch((error) => assert.fail(`${error}\n${shipper.log().slice(-3000)}`));
  assert.deepEqual(new Map(found.traces.map((one) => [one.trace_id, one.span_count])), ids);
}

const shippers = {
  'Fluent Bit': {
    command: fluentBit,
    async configure(dir, url) {
      const file = join(dir, 'fluent-bit.conf');
      await writeFile(file, (await read('fluent-bit/fluent-bit.conf')).replaceAll('/var/log/ai-storefront', join(dir, 'log')).replaceAll('/var/lib/fluent-bit', dir).replace('4318', new URL(url).port));
      await writeFile(join(dir, 'parsers.conf'), await read('fluent-bit/parsers.conf'));
      return ['-c', file];
    },
  },
  Vector: {
    command: vector,
    async configure(dir, url) {
      const file = join(dir, 'vector.yaml');
      await writeFile(file, `data_dir: ${dir}\n${(await read('vector/vector.yaml')).replaceAll('/var/log/ai-storefront', join(dir, 'log')).replace('http://127.0.0.1:4318', url)}`);
      return ['--config', file];
    },
  },
};

for (const [name, { command, configure }] of Object.entries(shippers)) {
  const skip = await missing(command);

  test(`${name}: the shipped configuration brings what stands in log files, one-line and pretty-printed, also after a restart`, { skip }, async (t) => {
    const dir = await tempDir(t), v = await serve(t, { grpc: false }), log = join(dir, 'log');
    await mkdir(log);
    const before = [...turn({ fallback: true }), ...turn()], during = [...turn(), call({ error: 'HTTP 500' })], after = turn({ fallback: true });
    await writeFile(join(log, 'a.log'), `starting\n${oneLine(before.slice(0, 3))}`);
    await writeFile(join(log, 'b.log'), pretty(before.slice(3)));
    const args = await configure(dir, v.url);
    const first = start(t, command, args, dir);
    await arrived(v, before, first);
    await appendFile(join(log, 'a.log'), pretty(during));
    await arrived(v, [...before, ...during], first);
    await first.stop();
    await appendFile(join(log, 'b.log'), oneLine(after));
    const second = start(t, command, args, dir);
    await arrived(v, [...before, ...during, ...after], second);
    assert.match(await v.get('/metrics'), /^vitrine_ingest_spans_rejected_total 0$/m);
  });
}

test("Vector: its patterns put the console's lines together, and the payload of its sink is taken whole", async (t) => {
  const config = await read('vector/vector.yaml'), setting = (name) => config.match(new RegExp(`${name}: '(.*)'`))[1];
  const begins = new RegExp(setting('start_pattern')), goesOn = new RegExp(setting('condition_pattern'));
  const spans = [...turn({ fallback: true }), ...turn()], text = oneLine(spans.slice(0, 3)) + pretty(spans.slice(3));
  const messages = []; // as Vector's continue_through does: lines that match go to the event that was begun
  let open = false;
  for (const line of text.split('\n')) {
    if (open && goesOn.test(line)) messages[messages.length - 1] += `\n${line}`;
    else messages.push(line), (open = begins.test(line));
  }
  const traces = messages.filter((message) => message.includes(setting('condition').match(/"(.*)"/)[1]));
  assert.equal(traces.length, spans.length);
  const v = await serve(t, { grpc: false }); // codec text, newline_delimited
  const answer = await v.post(new URL(config.match(/uri: (\S+)/)[1]).pathname, traces.join('\n'), { 'content-type': 'text/plain' });
  assert.deepEqual([answer.accepted, answer.rejected], [spans.length, 0]);
});

const logrotate = '/usr/sbin/logrotate';
const noLogrotate = (await missing(logrotate)) && "Debian's package logrotate is not installed";

test('logrotate takes its file and rotates while libvitrine writes; no line is lost, none is cut', { skip: noLogrotate }, async (t) => {
  const dir = await tempDir(t), file = join(dir, 'ai-storefront'), log = join(dir, 'traces.log');
  const writer = spawn(join(dirname(program), '../../tests/unit/sdk/log_client'), [log], { stdio: ['pipe', 'pipe', 'inherit'], env: { PATH: process.env.PATH, OTEL_SERVICE_NAME: 'ai-storefront' } });
  atEnd(t, () => writer.kill('SIGKILL'));
  let said = '';
  writer.stdout.setEncoding('utf8').on('data', (text) => (said += text));
  const config = (await read('logrotate/ai-storefront')).replaceAll('/var/log/ai-storefront', dir).replace(/^.*kill .*$/m, `kill -HUP ${writer.pid}`).replace(/^\s*su .*$/m, '').replace('rotate 14', 'rotate 100');
  assert.match(config, new RegExp(`kill -HUP ${writer.pid}`));
  await writeFile(file, config, { mode: 0o644 });
  const rotate = async (...flags) => {
    const { code, stderr } = await run([...flags, '-s', join(dir, 'state'), file], { command: logrotate });
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stderr, /error/i);
  };
  await rotate('-d');
  for (let i = 0; i < 5; i++) {
    await pause(150);
    await rotate('-f');
  }
  await pause(150);
  writer.stdin.end();
  assert.deepEqual(await once(writer, 'close'), [0, null]);
  const written = Number(said.match(/wrote (\d+)/)[1]), seen = new Set(), names = (await readdir(dir)).filter((name) => name.startsWith('traces.log'));
  assert.ok(names.length >= 5 && written > 1000, `${names} ${written}`);
  for (const name of names) {
    const { stdout } = name.endsWith('.gz') ? await run(['-dc', join(dir, name)], { command: 'gzip' }) : { stdout: await readFile(join(dir, name), 'utf8') };
    for (const line of stdout.split('\n').filter(Boolean)) seen.add(JSON.parse(line).attributes.number);
  }
  assert.equal(seen.size, written);
});
