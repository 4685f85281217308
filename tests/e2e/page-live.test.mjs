// What changes while one looks: the live page, the first trace, a server that goes away and comes back, asks for a key, or is slow.
import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { freePort, serve, tempDir } from './lib/vitrine.mjs';
import { arrives, feed, launch, open, otlp } from './lib/page.mjs';

const id = (n, length) => 'f' + n.toString(16).padStart(length - 1, '0');
let next = 1;
const oneCall = (name, more = {}) => otlp([{ trace: id(next, 32), span: id(next++, 16), name, attributes: { 'gen_ai.operation.name': 'chat', 'gen_ai.system': 'openai', 'gen_ai.request.model': 'gpt-4o-mini', 'gen_ai.usage.input_tokens': 10, 'gen_ai.usage.output_tokens': 5 }, ...more }]);

test('live: spans appear as they come, narrowed and paused as one likes', async (t) => {
  const server = await serve(t, { grpc: false });
  const browser = await launch(t);
  const page = await open(t, browser, server.url + '/live');
  await page.getByText('Connected', { exact: true }).waitFor();
  await server.post('/v1/traces', oneCall('first call'));
  await page.getByRole('link', { name: 'first call' }).waitFor();

  await page.getByRole('button', { name: 'Pause' }).click();
  await server.post('/v1/traces', oneCall('while paused'));
  await page.getByText('1 while paused').waitFor();
  assert.equal(await page.getByRole('link', { name: 'while paused' }).count(), 0);
  await page.getByRole('button', { name: 'Go on' }).click();

  await page.getByRole('combobox', { name: 'Filter' }).fill('status:error');
  await page.keyboard.press('Enter');
  await arrives(page, /^\/live\?q=status:error/);
  await page.waitForTimeout(300); // the server takes the new filter
  await server.post('/v1/traces', oneCall('goes well'));
  await server.post('/v1/traces', oneCall('goes wrong', { error: '429 slow down' }));
  await page.getByRole('link', { name: 'goes wrong' }).waitFor();
  assert.equal(await page.getByRole('link', { name: 'goes well' }).count(), 0);
  await page.getByRole('link', { name: 'goes wrong' }).click();
  await arrives(page, /^\/traces\/[0-9a-f]{32}\?span=/);
  await page.locator('.detail').getByText('429 slow down').first().waitFor();
});

test('live: a filter without meaning is pointed at; the stream comes back with the server', async (t) => {
  const dir = await tempDir(t);
  const first = await serve(t, { dir, grpc: false, port: await freePort() });
  const browser = await launch(t);
  const page = await open(t, browser, first.url + '/live', { expected: [/ERR_|WebSocket|Failed to fetch/] });
  await page.getByText('Connected', { exact: true }).waitFor();
  await page.getByRole('combobox', { name: 'Filter' }).fill('duraton:>2s');
  await page.keyboard.press('Enter');
  await page.locator('#filter-wrong').waitFor();
  await page.getByRole('button', { name: 'Clear the filter' }).click();
  await first.stop();
  await page.getByText(/^Lost, again in/).waitFor();
  const second = await serve(t, { dir, grpc: false, port: first.port });
  await page.getByText('Connected', { exact: true }).waitFor();
  await second.post('/v1/traces', oneCall('after the break'));
  await page.getByRole('link', { name: 'after the break' }).waitFor();
});

test('first minute: an empty store says how to begin, and the curl line as it stands opens its trace', async (t) => {
  const server = await serve(t, { grpc: false });
  const browser = await launch(t);
  const page = await open(t, browser, server.url + '/');
  await page.getByText('Nothing here yet. Send the first trace.').waitFor();
  assert.equal(await page.getByRole('tab', { name: 'Proxy' }).count(), 0, 'no proxy is offered where there is none');
  for (const name of ['C', 'TypeScript', 'Python', 'Convex', 'Log file']) {
    await page.getByRole('tab', { name, exact: true }).click();
    assert.ok((await page.locator('.snippets').innerText()).includes(server.url), `${name} names this server`);
  }
  await page.getByRole('tab', { name: 'curl' }).click();
  const script = await page.locator('.snippets pre').first().innerText();
  const { stdout } = await promisify(execFile)('bash', ['-ec', script.replace('curl ', 'curl -sS --fail-with-body ')]);
  assert.match(stdout, /\{/);
  await arrives(page, /^\/traces\/[0-9a-f]{32}/);
  await page.locator('.said.assistant strong', { hasText: 'Fjord shell' }).waitFor();
});

test('the proxy is offered where the server has one', async (t) => {
  const server = await serve(t, { grpc: false, args: ['--upstream', 'openai=http://127.0.0.1:9'] });
  const browser = await launch(t);
  const page = await open(t, browser, server.url + '/start');
  await page.getByRole('tab', { name: 'Proxy' }).click();
  await page.getByText(`OPENAI_BASE_URL=${server.url}/proxy/openai/v1`).waitFor();
});

test('a server that goes away leaves what was there, says so, and is taken up again', async (t) => {
  const dir = await tempDir(t);
  const first = await serve(t, { dir, grpc: false, port: await freePort() });
  const browser = await launch(t);
  await feed(first, 40);
  const page = await open(t, browser, first.url + '/traces', { expected: [/ERR_|WebSocket|Failed to load/] });
  await page.locator('.trow:not(.head)').first().waitFor();
  await first.stop();
  await page.getByRole('button', { name: 'Refresh', exact: true }).click();
  await page.getByRole('alert').getByText('The server does not answer.').waitFor();
  assert.ok(await page.locator('.trow:not(.head)').count() > 0, 'the rows of before stay');
  await serve(t, { dir, grpc: false, port: first.port });
  await page.getByRole('alert').waitFor({ state: 'detached' });
});

test('a server that asks for a key gets one from the page, and a wrong one is refused', async (t) => {
  const dir = await tempDir(t);
  const before = await serve(t, { dir, grpc: false });
  const { key } = await before.post('/api/v1/keys', { name: 'viewer', scopes: 'read,ingest' });
  await before.stop();
  const server = await serve(t, { dir, grpc: false, args: ['--require-key'] });
  await feed(server, 10, { key });
  const browser = await launch(t);
  const page = await open(t, browser, server.url + '/traces', { expected: [/401|WebSocket/] });
  await page.getByRole('heading', { name: 'This Vitrine asks for a key' }).waitFor();
  await page.getByRole('textbox', { name: 'Key' }).fill('vt_wrong');
  await page.getByRole('button', { name: 'Open' }).click();
  await page.getByText('The key was not accepted.').waitFor();
  await page.getByRole('textbox', { name: 'Key' }).fill(key);
  await page.getByRole('button', { name: 'Open' }).click();
  await page.locator('.trow:not(.head)').first().waitFor();
  await page.goto(server.url + '/live');
  await page.getByText('Connected', { exact: true }).waitFor();
  await server.post('/v1/traces', oneCall('with a key'), { authorization: `Bearer ${key}` });
  await page.getByRole('link', { name: 'with a key' }).waitFor();
});

test('a slow answer is waited for in words, a failed one can be asked again', async (t) => {
  const server = await serve(t, { grpc: false });
  const browser = await launch(t);
  await feed(server, 10);
  const page = await open(t, browser, server.url + '/traces', { expected: [/504/] });
  await page.locator('.trow:not(.head)').first().waitFor();
  let fail = true, letGo;
  const waited = new Promise((done) => (letGo = done));
  await page.route('**/api/v1/threads?*', async (route) => {
    await waited;
    if (fail) await route.fulfill({ status: 504, contentType: 'application/json', body: JSON.stringify({ error: { code: 'timeout', message: 'the query took longer than 3 s' } }) });
    else await route.continue();
  });
  await page.getByRole('link', { name: 'Threads' }).click();
  await page.getByText(/Still working/).waitFor();
  letGo();
  await page.getByText('That took too long').waitFor();
  await page.getByText('the query took longer than 3 s').waitFor();
  fail = false;
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.locator('.trow:not(.head)').first().waitFor();
});

test('the page is small', async (t) => {
  const server = await serve(t, { grpc: false });
  const html = await (await server.fetch('/')).text();
  let total = 0;
  for (const [, path] of html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)) {
    const answer = await server.fetch(path, { headers: { 'accept-encoding': 'gzip' } });
    assert.equal(answer.status, 200);
    assert.match(answer.headers.get('cache-control'), /immutable/);
    total += Number(answer.headers.get('content-length'));
  }
  assert.ok(total > 10_000 && total < 150_000, `the bundle has ${total} bytes gzip`);
});
