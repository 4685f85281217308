// Keys, from their making to their end, against the real program.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { run, serve, tempDir } from './lib/vitrine.mjs';
import { exportRequest, llmSpan, protobuf } from './lib/otlp.mjs';

const send = (v, headers) => v.fetch('/v1/traces', { method: 'POST', headers: { ...protobuf, ...headers }, body: exportRequest([llmSpan('x')]).body });

test('a key is made over the API, does what its scopes say, and ends with its revocation', async (t) => {
  const dir = await tempDir(t);
  const open = await serve(t, { dir });
  const admin = await open.post('/api/v1/keys', { name: 'admin', scopes: 'admin' });
  const sender = await open.post('/api/v1/keys', { name: 'storefront', scopes: 'ingest', project: 'shop' });
  assert.match(admin.key, /^vt_[0-9A-Za-z]{8}_[0-9A-Za-z]{32}$/);
  assert.equal((await open.stop()).code, 0);

  const v = await serve(t, { dir, args: ['--require-key'] });
  assert.equal((await send(v, {})).status, 401);
  for (const headers of [{ authorization: `Bearer ${sender.key}` }, { 'x-api-key': sender.key },
    { authorization: 'Basic ' + Buffer.from(`pk-lf-1:${sender.key}`).toString('base64') }]) assert.equal((await send(v, headers)).status, 200);
  assert.equal((await v.fetch('/api/v1/traces', { headers: { 'x-api-key': sender.key } })).status, 403);
  const { traces } = await v.get('/api/v1/traces', { 'x-api-key': admin.key });
  assert.equal(traces.length, 3);
  const { keys } = await v.get('/api/v1/keys', { 'x-api-key': admin.key });
  assert.deepEqual(keys.map(({ name, scopes }) => [name, scopes]), [['admin', 'admin'], ['storefront', 'ingest']]);
  const revoked = await v.fetch(`/api/v1/keys/${sender.id}`, { method: 'DELETE', headers: { 'x-api-key': admin.key } });
  assert.equal(revoked.status, 200);
  assert.equal((await send(v, { 'x-api-key': sender.key })).status, 401);

  // No secret in the log, nor in any file.
  assert.doesNotMatch(v.log, new RegExp(admin.key.slice(12)));
  assert.equal((await v.stop()).code, 0);
  for (const name of await readdir(dir, { recursive: true, withFileTypes: true }))
    if (name.isFile()) assert.ok(!(await readFile(join(name.parentPath ?? name.path, name.name))).includes(sender.key.slice(12)), name.name);
});

test('a running server notices keys that the command line makes and revokes', async (t) => {
  const dir = await tempDir(t);
  const v = await serve(t, { dir, args: ['--require-key'] });
  const made = await run(['keys', 'add', 'late', '--scopes', 'ingest', '--data', dir]);
  assert.equal(made.code, 0, made.stderr);
  const key = made.stdout.match(/vt_\w+/)[0];
  const becomes = async (status) => {
    const end = Date.now() + 60_000;
    while ((await send(v, { 'x-api-key': key })).status !== status) {
      assert.ok(Date.now() < end, `it never became ${status}`);
      await new Promise((done) => setTimeout(done, 100));
    }
  };
  await becomes(200);
  const revoked = await run(['keys', 'revoke', 'late', '--data', dir]);
  assert.equal(revoked.code, 0, revoked.stderr);
  await becomes(401);
});

test('beyond loopback it does not start without a key', async (t) => {
  const dir = await tempDir(t);
  const refused = await run(['serve', '--listen', '0.0.0.0:0', '--grpc', '', '--data', dir]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /vitrine keys add/);
});
