// Monitors: the storefront's three alerts as they stand in its document, from a span that comes in to a person who is told.
import test from 'node:test';
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import { createServer as createSocketServer } from 'node:net';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root, run, serve, tempDir } from './lib/vitrine.mjs';

const storefront = join(root, 'integrations/datadog/monitors.yaml');

/** A log line as the storefront writes it. */
let ids = 0;
function line({ operation = 'openai.chat.completions.create', ms = 100, error, tokens = 100, at = Date.now() - 2000, model = 'gpt-4o' }) {
  ids++;
  return JSON.stringify({
    timestamp: new Date(at).toISOString(), level: error ? 'ERROR' : 'INFO', message: `TRACE: ${operation}`,
    trace: { traceId: ids.toString(16).padStart(32, 'a'), spanId: ids.toString(16).padStart(16, 'b'), operation, duration: `${ms}ms`, status: error ? 'ERROR' : 'OK', ...(error && { error }) },
    attributes: { 'service.name': 'ai-storefront', 'llm.vendor': 'openai', 'llm.request.model': model, 'llm.usage.prompt_tokens': tokens, 'llm.usage.completion_tokens': 0 },
  });
}

/** Something that people are told by: keeps what it got, answers `status`. */
async function listener(t) {
  const got = [];
  const server = createServer(async (request, response) => {
    const parts = [];
    for await (const part of request) parts.push(part);
    const body = Buffer.concat(parts).toString();
    response.statusCode = got.status ?? 200;
    response.end();
    if (response.statusCode === 200) got.push({ headers: request.headers, body, json: JSON.parse(body) });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => (server.closeAllConnections(), server.close()));
  got.url = `http://127.0.0.1:${server.address().port}/hook`;
  got.until = async (count) => {
    for (let i = 0; i < 1200 && got.length < count; i++) await new Promise((done) => setTimeout(done, 50));
    assert.ok(got.length >= count, `${got.length} notifications, expected ${count}`);
  };
  return got;
}

const stateOf = (body, name) => body.monitors.find((m) => m.name === name)?.groups[0]?.state;

test("the storefront's three alerts run as they stand", async (t) => {
  const v = await serve(t, { args: ['--alerts', storefront] });
  await v.post('/ingest/logs', [line({ ms: 20000 }), ...Array.from({ length: 6 }, () => line({ ms: 5000, error: 'HTTP 500' })), line({ ms: 70000, tokens: 100001 })].join('\n'));
  const body = await v.until('/api/v1/alerts', (b) => ['High LLM Latency', 'LLM Errors', 'High Token Usage'].every((n) => stateOf(b, n) === 'ALERT'));
  assert.equal(body.monitors.length, 3);
  for (const monitor of body.monitors) {
    assert.ok(monitor.query.includes('ai_storefront.llm.'));
    assert.ok(monitor.groups[0].value > monitor.critical);
    assert.ok(monitor.groups[0].history.length >= 1);
  }
});

test('a change is told once, signed, and so is the recovery', async (t) => {
  const hook = await listener(t);
  const dir = await tempDir(t);
  const file = join(dir, 'alerts.yaml');
  await writeFile(file, `
monitors:
  - name: "Slow model"
    query: "avg(last_1h):avg:ai_storefront.llm.duration{*} by {model} > 1000"
    message: "{{#is_alert}}{{model.name}} takes {{value}} > {{threshold}}{{/is_alert}}{{#is_recovery}}fine again{{/is_recovery}}"
notify:
  - name: hook
    kind: webhook
    url: "${hook.url}"
    secret: "\${HOOK_SECRET}"
`);
  const v = await serve(t, { args: ['--alerts', file], env: { HOOK_SECRET: 's3cret' } });
  await v.post('/ingest/logs', line({ ms: 5000 }));
  await hook.until(1);
  const [first] = hook;
  assert.equal(first.headers['x-vitrine-signature'], `sha256=${createHmac('sha256', 's3cret').update(first.body).digest('hex')}`);
  assert.equal(first.json.state, 'ALERT');
  assert.match(first.json.message, /gpt-4o takes 5000 > 1000/);
  assert.equal(hook.length, 1);
  // What ends it is what comes in, not time that passes: however slow the machine, the hour holds both.
  await v.post('/ingest/logs', Array.from({ length: 9 }, () => line({ ms: 100 })).join('\n'));
  await hook.until(2);
  assert.equal(hook[1].json.state, 'OK');
  assert.match(hook[1].json.message, /fine again/);
  const { history } = (await v.get('/api/v1/alerts')).monitors[0].groups[0];
  assert.equal(history.length, 2, 'and nothing else happened');
  const text = JSON.stringify(await v.get('/api/v1/alerts'));
  assert.ok(!text.includes('s3cret') && !v.log.includes('s3cret'), 'secrets are not shown');
});

test('a target that is down loses nothing and is not flooded; states outlive a restart', async (t) => {
  const hook = await listener(t);
  hook.status = 503;
  const dir = await tempDir(t);
  const file = join(dir, 'alerts.yaml');
  await writeFile(file, JSON.stringify({
    monitors: [{ name: 'Tokens', query: 'sum(last_1h):sum:ai_storefront.llm.tokens{*} > 100', message: 'tokens' }],
    notify: [{ name: 'hook', kind: 'slack', url: hook.url }],
  }));
  const v = await serve(t, { args: ['--alerts', file] });
  await v.post('/ingest/logs', line({ tokens: 5000 }));
  await v.until('/api/v1/alerts', (b) => stateOf(b, 'Tokens') === 'ALERT');
  await v.stop();
  hook.status = 200;
  const again = await serve(t, { dir: v.dir, args: ['--alerts', file] });
  assert.equal(stateOf(await again.get('/api/v1/alerts'), 'Tokens'), 'ALERT', 'the state is known at once');
  await hook.until(1);
  await new Promise((done) => setTimeout(done, 3000));
  assert.equal(hook.length, 1, 'told once');
  assert.match(hook[0].json.text ?? JSON.stringify(hook[0].json), /Tokens/);
});

/** A mail server that takes everything: the mails, as {from, to, lines}. */
async function mailbox(t) {
  const mails = [];
  const server = createSocketServer((socket) => {
    let mail = { to: [], lines: [] }, reading = false, rest = '';
    const say = (text) => socket.write(`${text}\r\n`);
    say('220 mailbox');
    socket.setEncoding('utf8').on('error', () => {}).on('data', (text) => {
      const lines = (rest + text).split('\r\n');
      rest = lines.pop();
      for (const line of lines) {
        const [, word, value] = line.match(/^(EHLO|MAIL FROM|RCPT TO|DATA|QUIT)\b:?\s*(.*)$/) ?? [];
        if (reading && line === '.') (reading = false), mails.push(mail), say('250 taken');
        else if (reading) mail.lines.push(line);
        else if (word === 'MAIL FROM') (mail = { from: value, to: [], lines: [] }), say('250 ok');
        else if (word === 'RCPT TO') mail.to.push(value), say('250 ok');
        else if (word === 'DATA') (reading = true), say('354 go on');
        else if (word === 'QUIT') say('221 bye'), socket.end();
        else say(word === 'EHLO' ? '250 mailbox' : '502 unknown');
      }
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  mails.url = `smtp://127.0.0.1:${server.address().port}`;
  return mails;
}

test('e-mail comes whole, dated, with its subject in any script; Slack takes names as text', async (t) => {
  const hook = await listener(t), mails = await mailbox(t);
  const file = join(await tempDir(t), 'alerts.yaml');
  await writeFile(file, JSON.stringify({
    monitors: [{ name: 'Token für Bücher', query: 'sum(last_1h):sum:ai_storefront.llm.tokens{*} by {model} > 100', message: '{{model.name}} is at {{value}}' }],
    notify: [{ name: 'mail', kind: 'email', url: mails.url, from: 'vitrine@shop.example', to: 'ops@shop.example, night@shop.example' },
      { name: 'chat', kind: 'slack', url: hook.url }],
  }));
  const v = await serve(t, { args: ['--alerts', file] });
  await v.post('/ingest/logs', line({ tokens: 5000, model: '<!channel>&co' }));
  await hook.until(1);
  for (let i = 0; i < 1200 && !mails.length; i++) await new Promise((done) => setTimeout(done, 50));
  const [{ from, to, lines }] = mails;
  assert.match(from, /^<vitrine@shop\.example>/);
  assert.deepEqual(to, ['<ops@shop.example>', '<night@shop.example>']);
  const blank = lines.indexOf(''), head = lines.slice(0, blank).join('\n').replaceAll('\n ', ' ');
  const words = [...head.match(/^Subject: (.*)$/m)[1].matchAll(/=\?utf-8\?B\?([\w+/=]+)\?=/g)].map(([, text]) => Buffer.from(text, 'base64').toString());
  assert.equal(words.join(''), '[Triggered] Token für Bücher on model:<!channel>&co');
  assert.ok(Math.abs(Date.parse(head.match(/^Date: (.*)$/m)[1]) - Date.now()) < 600_000);
  assert.equal(lines[blank + 1], '<!channel>&co is at 5000');
  const slack = hook[0].json;
  assert.equal(slack.text, '[Triggered] Token für Bücher on model:&lt;!channel&gt;&amp;co');
  assert.match(slack.attachments[0].text, /^&lt;!channel&gt;&amp;co is at 5000\n.*&gt; 100/);
});

test('a secret that is not set stops the server, not the check of a file; silences name monitors that exist', async (t) => {
  const file = join(await tempDir(t), 'alerts.yaml');
  await writeFile(file, JSON.stringify({
    monitors: [{ name: 'Tokens', query: 'sum(last_1h):sum:ai_storefront.llm.tokens{*} > 100', message: '' }],
    notify: [{ name: 'hook', kind: 'webhook', url: 'http://127.0.0.1:9/', secret: '${NO_SUCH_SECRET}' }],
  }));
  const refused = await serve(t, { args: ['--alerts', file] }).catch((error) => error);
  assert.match(String(refused), /alerts\.yaml:\d+: \$\{NO_SUCH_SECRET\} is not set/);
  const v = await serve(t, { args: ['--alerts', file], env: { NO_SUCH_SECRET: 'x' } });
  assert.equal((await run(['alerts', 'check', file, '--url', v.url])).code, 0);
  const unknown = await v.fetch('/api/v1/alerts/silences', { method: 'POST', body: '{"monitor":"Tokenz","minutes":5}' });
  assert.equal(unknown.status, 404);
  assert.match(await unknown.text(), /no monitor .*Tokenz/);
});

test('a monitor with a mistake is named with its column and the others run', async (t) => {
  const dir = await tempDir(t);
  const file = join(dir, 'alerts.yaml');
  await writeFile(file, JSON.stringify([
    { name: 'Broken', query: 'sum(last_5x):sum:ai_storefront.llm.tokens{*} > 1', message: '' },
    { name: 'Good', query: 'sum(last_5m):sum:ai_storefront.llm.tokens{*} > 1', message: '' },
  ]));
  const v = await serve(t, { args: ['--alerts', file] });
  const body = await v.until('/api/v1/alerts', (b) => stateOf(b, 'Good') === 'OK');
  assert.match(body.monitors.find((m) => m.name === 'Broken').error, /Broken.*column 10|column 10.*/);
  const broken = await serve(t, { args: ['--alerts', join(dir, 'none.yaml')] }).catch((error) => error);
  assert.match(String(broken), /none\.yaml/);
});

test('silences keep a monitor quiet, from the page and until they end', async (t) => {
  const hook = await listener(t);
  const dir = await tempDir(t);
  const file = join(dir, 'alerts.yaml');
  await writeFile(file, JSON.stringify({ monitors: [{ name: 'Tokens', query: 'sum(last_1h):sum:ai_storefront.llm.tokens{*} > 100', message: 'x' }], notify: [{ name: 'hook', kind: 'webhook', url: hook.url }] }));
  const v = await serve(t, { args: ['--alerts', file] });
  await v.post('/api/v1/alerts/silences', { monitor: 'Tokens', minutes: 5, reason: 'sale' });
  const { silences } = await v.get('/api/v1/alerts');
  assert.equal(silences.length, 1);
  await v.post('/ingest/logs', line({ tokens: 5000 }));
  await v.until('/api/v1/alerts', (b) => stateOf(b, 'Tokens') === 'ALERT');
  await new Promise((done) => setTimeout(done, 1500));
  assert.equal(hook.length, 0);
  assert.equal((await v.fetch(`/api/v1/alerts/silences/${silences[0].id}`, { method: 'DELETE' })).status, 200);
  assert.equal((await v.get('/api/v1/alerts')).silences.length, 0);
  assert.equal((await v.fetch('/api/v1/alerts/silences', { method: 'POST', body: '{"monitor":"","minutes":-1}' })).status, 400);
});

test('alerts check reads a file where nothing runs', async () => {
  const { code, stdout } = await run(['alerts', 'check', join(root, 'integrations/datadog/monitors.yaml')]);
  assert.equal(code, 0);
  assert.match(stdout, /✓ High LLM Latency/);
  const replay = await run(['alerts', 'test', join(root, 'no such file.yaml')]);
  assert.notEqual(replay.code, 0);
  assert.match(replay.stderr, /no such file\.yaml/);
});

test('alerts check explains, alerts test replays', async (t) => {
  const v = await serve(t);
  await v.post('/ingest/logs', Array.from({ length: 6 }, () => line({ error: 'HTTP 500', at: Date.now() - 20 * 60_000 })).join('\n'));
  await v.stop();
  const check = await run(['alerts', 'check', storefront, '--data', v.dir]);
  assert.equal(check.code, 0, check.stderr);
  assert.match(check.stdout, /LLM Errors/);
  assert.match(check.stdout, /ALERT when > 5 error/);
  const replay = await run(['alerts', 'test', storefront, '--data', v.dir, '--from', '-1h', '--json']);
  assert.equal(replay.code, 0, replay.stderr);
  const { changes } = JSON.parse(replay.stdout).find((m) => m.name === 'LLM Errors');
  assert.deepEqual(changes.map((c) => c.to), ['ALERT', 'OK']);
  const bad = await run(['alerts', 'check', join(root, 'README.md'), '--data', v.dir]);
  assert.notEqual(bad.code, 0);
  assert.match(bad.stderr, /README\.md/);
  assert.ok((await readFile(storefront, 'utf8')).includes('High Token Usage'));
});
