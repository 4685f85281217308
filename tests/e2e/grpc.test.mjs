// OTLP over gRPC with the client that Node's OpenTelemetry SDK uses.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { readFile } from 'node:fs/promises';
import { once } from 'node:events';
import http2 from 'node:http2';
import net from 'node:net';
import tls from 'node:tls';
import { certificate, serve } from './lib/vitrine.mjs';
import { exportRequest, llmSpan } from './lib/otlp.mjs';

const raw = (data) => data;

function client(t, v, service = 'trace.v1.TraceService', options = {}, credentials = grpc.credentials.createInsecure()) {
  const method = { path: `/opentelemetry.proto.collector.${service}/Export`, requestStream: false, responseStream: false,
    requestSerialize: raw, requestDeserialize: raw, responseSerialize: raw, responseDeserialize: raw };
  const Client = grpc.makeClientConstructor({ export: method, wrong: { ...method, path: method.path + 'ed' } }, 'Export');
  const made = new Client(v.grpc, credentials, options);
  t.after(() => made.close());
  const call = (name) => (body, metadata = new grpc.Metadata()) =>
    new Promise((done) => made[name](body, metadata, { deadline: Date.now() + 120_000 }, (error, answer) => done({ code: error?.code ?? 0, details: error?.details, metadata: error?.metadata, answer })));
  return { export: call('export'), wrong: call('wrong') };
}

test('spans over gRPC are stored like those over HTTP', async (t) => {
  const v = await serve(t);
  const c = client(t, v);
  const { body, traceIds } = exportRequest([llmSpan('by grpc', { 'gen_ai.usage.input_tokens': 10 })]);
  const { code, answer } = await c.export(body);
  assert.equal(code, grpc.status.OK);
  assert.equal(answer.length, 0);
  assert.equal((await v.get(`/api/v1/traces/${traceIds[0]}`)).spans[0].operation, 'by grpc');
});

test('compressed messages, and many calls at once over one connection', async (t) => {
  const v = await serve(t);
  const c = client(t, v, undefined, { 'grpc.default_compression_algorithm': 2 });
  const requests = Array.from({ length: 300 }, () => exportRequest(Array.from({ length: 20 }, () => llmSpan('many', { 'gen_ai.prompt.0.content': 'word '.repeat(200) }))));
  const answers = await Promise.all(requests.map(({ body }) => c.export(body)));
  assert.ok(answers.every(({ code }) => code === 0));
  const { series } = await v.post('/api/v1/query', { where: 'operation:many', select: ['count'] });
  assert.equal(series[0].points[0][1], 6000);
});

test('a message larger than the window comes through', async (t) => {
  const v = await serve(t);
  const { body, traceIds } = exportRequest([llmSpan('large', { 'gen_ai.prompt.0.content': 'x'.repeat(6 << 20) })]);
  assert.equal((await client(t, v).export(body)).code, 0);
  assert.equal((await v.get(`/api/v1/traces/${traceIds[0]}`)).spans.length, 1);
});

test('what is wrong has the code that tells senders whether to try again', async (t) => {
  const v = await serve(t, { args: ['--max-body', '100KiB'] });
  const c = client(t, v);
  assert.equal((await c.export(Buffer.from([255, 255, 255, 255]))).code, grpc.status.INVALID_ARGUMENT);
  const large = await c.export(Buffer.alloc(200_000));
  assert.equal(large.code, grpc.status.INVALID_ARGUMENT);
  assert.match(large.details, /--max-body/);
  assert.equal((await c.wrong(Buffer.alloc(0))).code, grpc.status.UNIMPLEMENTED);
  const metadata = new grpc.Metadata();
  metadata.set('authorization', 'Bearer vt_abcdefgh_wrong');
  assert.equal((await c.export(Buffer.alloc(0), metadata)).code, grpc.status.UNAUTHENTICATED);
  assert.equal((await c.export(exportRequest([llmSpan('fine')]).body)).code, 0);
});

test('a span without meaning is a partial success that names it', async (t) => {
  const v = await serve(t);
  const { body } = exportRequest([llmSpan('good'), { ...llmSpan('bad'), traceId: '0'.repeat(32) }]);
  const { code, answer } = await client(t, v).export(body);
  assert.equal(code, 0);
  assert.match(answer.toString('latin1'), /1 refused; span 2: /);
});

test('keepalive pings are answered', async (t) => {
  const v = await serve(t);
  const session = http2.connect(`http://${v.grpc}`);
  t.after(() => session.destroy());
  await once(session, 'connect');
  for (let i = 0; i < 10; i++)
    await new Promise((done, failed) => session.ping(Buffer.from(`ping ${i}  `), (error, _, payload) => {
      if (error) return failed(error);
      assert.equal(payload.toString(), `ping ${i}  `);
      done();
    }));
  assert.equal((await client(t, v).export(Buffer.alloc(0))).code, 0);
});

test('with a certificate gRPC speaks TLS, and HTTP/2 by ALPN alone', async (t) => {
  const { cert, key } = await certificate(t);
  const v = await serve(t, { args: ['--tls-cert', cert, '--tls-key', key] });
  const ca = await readFile(cert);
  const secure = client(t, v, undefined, { 'grpc.default_compression_algorithm': 2 }, grpc.credentials.createSsl(ca));
  const requests = Array.from({ length: 60 }, (_, i) => exportRequest(Array.from({ length: 20 }, () => llmSpan(`by tls ${i}`, { 'gen_ai.prompt.0.content': 'word '.repeat(400) }))));
  const answers = await Promise.all(requests.map(({ body }) => secure.export(body)));
  assert.ok(answers.every(({ code }) => code === 0), JSON.stringify(answers.find(({ code }) => code)));
  const large = exportRequest([llmSpan('large', { 'gen_ai.prompt.0.content': 'x'.repeat(6 << 20) })]);
  assert.equal((await secure.export(large.body)).code, 0);
  // Answers that are long go out whole as well.
  const bad = exportRequest(Array.from({ length: 300 }, () => ({ ...llmSpan('bad'), traceId: '0'.repeat(32) })));
  assert.match((await secure.export(bad.body)).answer.toString('latin1'), /300 refused/);

  const [host, port] = v.grpc.split(':');
  const connect = (options) => new Promise((done) => {
    const socket = tls.connect({ host, port, ca, servername: 'localhost', ...options }, () => {
      done({ protocol: socket.alpnProtocol, version: socket.getProtocol() });
      socket.destroy();
    });
    socket.on('error', (error) => done({ error: error.code ?? error.message }));
  });
  assert.deepEqual((await connect({ ALPNProtocols: ['h2', 'http/1.1'] })).protocol, 'h2');
  assert.equal((await connect({ ALPNProtocols: ['h2'], maxVersion: 'TLSv1.2' })).version, 'TLSv1.2');
  assert.ok((await connect({ ALPNProtocols: ['http/1.1'] })).error, 'another protocol is refused');
  assert.ok((await connect({ ALPNProtocols: ['h2'], maxVersion: 'TLSv1.1', minVersion: 'TLSv1' })).error, 'old TLS is refused');

  // Who speaks no TLS, and who says nothing, are let go; the others are served on.
  const hasty = await serve(t, { args: ['--tls-cert', cert, '--tls-key', key, '--header-timeout', '1s'] });
  const [hastyHost, hastyPort] = hasty.grpc.split(':');
  const plain = net.connect(hastyPort, hastyHost);
  plain.on('error', () => {}).resume();
  plain.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const silent = net.connect(hastyPort, hastyHost);
  silent.on('error', () => {}).resume();
  await Promise.all([plain, silent].map((socket) => new Promise((done) => socket.once('close', done))));
  assert.notEqual((await client(t, v).export(Buffer.alloc(0))).code, 0);
  assert.equal((await secure.export(exportRequest([llmSpan('after')]).body)).code, 0);
  assert.equal((await v.stop()).code, 0);
});
