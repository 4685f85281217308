// Runs the real program for a test: a server on free ports with a data directory of its own, or a command to its end.
//
//   const v = await serve(t);                    // stopped and cleaned up when the test `t` ends
//   await v.post('/ingest/logs', lines);
//   const { traces } = await v.get('/api/v1/traces');
//   const { code, stdout } = await run(['traces', '--url', v.url]);
//
// VITRINE names the program; without it build/ of this repository is taken.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, access } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { randomInt } from 'node:crypto';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '../../..');
export const program = process.env.VITRINE ?? join(root, 'build/src/cli/vitrine');
const READY_MS = 120_000; // all of these are wide: a machine may be slow
const STOP_MS = 120_000;

const endings = new WeakMap();

/** Has `undo` run when the test ends: what came last goes first, so that a server is gone before its directory is. */
export function atEnd(t, undo) {
  if (!t) return;
  if (!endings.has(t)) {
    endings.set(t, []);
    t.after(async () => {
      for (const one of endings.get(t).reverse()) await one();
    });
  }
  endings.get(t).push(undo);
}

/** A directory that is gone when the test ends. */
export async function tempDir(t, prefix = 'vitrine-') {
  const dir = await mkdtemp(join(tmpdir(), prefix));
  atEnd(t, () => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 }));
  return dir;
}

/** Environment of the programs under test: what the tester has set for itself, and keeps, must not reach them. */
function cleanEnv(env = {}) {
  const kept = Object.entries(process.env).filter(([key]) => !/^(VITRINE_|OTEL_|LLM_|OPENAI_|ANTHROPIC_)/.test(key));
  return { ...Object.fromEntries(kept), NO_COLOR: '1', XDG_DATA_HOME: join(tmpdir(), 'vitrine-tests-keep-nothing-here'), ...env };
}

/** Runs a command to its end: {code, signal, stdout, stderr}. */
export async function run(args, { input, env, timeoutMs = 300_000, command = program, cwd } = {}) {
  const child = spawn(command, args, { env: cleanEnv(env), cwd, stdio: ['pipe', 'pipe', 'pipe'] });
  const out = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr']) child[name].setEncoding('utf8').on('data', (text) => (out[name] += text));
  child.stdin.on('error', () => {}); // it may exit without reading
  child.stdin.end(input);
  const timer = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
  const [code, signal] = await once(child, 'close').finally(() => clearTimeout(timer)); // rejects where there is no such command
  return { code, signal, ...out };
}

/**
 * A port that nobody listens on. It is one that the system gives to nobody by itself, neither to who listens on port 0 nor to
 * who connects: so it stays free until the test takes it, and between two servers of the test.
 */
export async function freePort() {
  for (;;) {
    const port = randomInt(10_000, 32_000);
    const server = createServer().listen(port, '127.0.0.1');
    const free = await once(server, 'listening').then(() => true, () => false);
    if (!free) continue;
    await new Promise((done) => server.close(done));
    return port;
  }
}

/** A certificate for localhost and its key, as files in a directory of their own: {dir, cert, key}. */
export async function certificate(t) {
  const dir = await tempDir(t);
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => join(dir, name));
  const args = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-subj', '/CN=localhost',
    '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1', '-keyout', key, '-out', cert];
  const made = await run(args, { command: 'openssl' });
  if (made.code !== 0) throw new Error(`openssl: ${made.stderr}`);
  return { dir, cert, key };
}

/**
 * Starts `vitrine serve` and waits until it is ready.
 * options: dir (kept when given), args (further flags), env, grpc (false: without), port (0: any free one).
 */
export async function serve(t, { dir, args = [], env, grpc = true, port = 0 } = {}) {
  await access(program).catch(() => {
    throw new Error(`${program} is not there: build it (ninja -C build) or name it with VITRINE=…`);
  });
  const data = dir ?? (await tempDir(t));
  const flags = ['serve', '--listen', `127.0.0.1:${port}`, '--data', data, '--grpc', grpc ? '127.0.0.1:0' : '', ...args];
  const child = spawn(program, flags, { env: cleanEnv(env), stdio: ['ignore', 'pipe', 'pipe'] });
  const server = new Server(child, data);
  atEnd(t, () => server.stop().catch(() => {}));
  await server.ready();
  return server;
}

export class Server {
  constructor(child, dir) {
    this.child = child;
    this.dir = dir;
    this.log = '';
    this.exit = new Promise((done) => child.once('close', (code, signal) => done({ code, signal })));
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => this.#read(text));
  }

  #read(text) {
    this.log += text;
    this.url ??= this.log.match(/listening on (https?:\/\/\S+)/)?.[1];
    this.grpc ??= this.log.match(/listening on grpcs?:\/\/(\S+)/)?.[1];
    if (/\bready\b.*\n/.test(this.log)) this.wake?.();
  }

  async ready() {
    const started = new Promise((done) => (this.wake = done));
    if (/\bready\b.*\n/.test(this.log)) this.wake();
    let timer;
    const late = new Promise((done) => (timer = setTimeout(done, READY_MS, 'late')));
    const first = await Promise.race([started, late, this.exit]);
    clearTimeout(timer);
    if (first === 'late') this.child.kill('SIGKILL');
    if (first) throw new Error(`vitrine serve did not get ready (${JSON.stringify(first)}):\n${this.log}`);
    this.port = Number(new URL(this.url).port);
  }

  /** fetch() against this server. */
  fetch(path, options) {
    return fetch(new URL(path, this.url), options);
  }

  /** GET as JSON; throws with the server's own words when it is not 200. */
  async get(path, headers) {
    return answer(await this.fetch(path, { headers }), path);
  }

  /** POST: a string or bytes as they stand, anything else as JSON. */
  async post(path, body, headers = {}) {
    const raw = typeof body === 'string' || body instanceof Uint8Array;
    const type = raw ? {} : { 'content-type': 'application/json' };
    const init = { method: 'POST', body: raw ? body : JSON.stringify(body), headers: { ...type, ...headers } };
    return answer(await this.fetch(path, init), path);
  }

  /** Asks until `found` is true of the answer, for what becomes visible a moment later. */
  async until(path, found, { timeoutMs = 60_000, headers } = {}) {
    const end = Date.now() + timeoutMs;
    for (;;) {
      const body = await this.get(path, headers);
      if (found(body)) return body;
      if (Date.now() > end) throw new Error(`${path} never became what was waited for; last: ${JSON.stringify(body)}`);
      await new Promise((done) => setTimeout(done, 50));
    }
  }

  /** SIGTERM, and its end: {code, signal}. Throws when it does not end. */
  async stop(signal = 'SIGTERM') {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return this.exit;
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_MS);
    const end = await this.exit;
    clearTimeout(timer);
    if (signal !== 'SIGKILL' && end.signal === 'SIGKILL') throw new Error(`vitrine serve did not stop:\n${this.log}`);
    return end;
  }

  kill() {
    return this.stop('SIGKILL');
  }
}

async function answer(response, path) {
  const text = await response.text();
  if (!response.ok) throw Object.assign(new Error(`${path}: ${response.status} ${text}`), { status: response.status, text });
  const json = (response.headers.get('content-type') ?? '').startsWith('application/json');
  return json ? JSON.parse(text) : text;
}
