// How long a scrape takes: a server that holds SERIES sets of labels, scraped RUNS times over one connection by a client that reads the answer and
// does nothing with it; prom-client with the same families beside it.
import { serve } from '../../tests/e2e/lib/vitrine.mjs';
import { call, lines } from '../../tests/e2e/lib/storefront.mjs';
import { spawn } from 'node:child_process';
import { Agent, get } from 'node:http';
import { once } from 'node:events';
import { cpus } from 'node:os';
import { gunzipSync } from 'node:zlib';

const series = Number(process.env.SERIES ?? 1000), runs = Number(process.env.RUNS ?? 100), goal_ms = 10;
const agent = new Agent({ keepAlive: true, maxSockets: 1 });

/** The answer as it came over the wire: {headers, parts, bytes, ms}. */
const scrape = (url, headers) =>
  new Promise((done, fail) => {
    const start = performance.now(), parts = [];
    get(url, { agent, headers }, (response) => {
      response.on('data', (part) => parts.push(part));
      response.on('end', () => done({ headers: response.headers, parts, bytes: parts.reduce((sum, part) => sum + part.length, 0), ms: performance.now() - start }));
    }).on('error', fail);
  });

async function measure(name, url, headers, cpu) {
  const first = await scrape(url, headers), whole = Buffer.concat(first.parts);
  const text = (first.headers['content-encoding'] === 'gzip' ? gunzipSync(whole) : whole).toString();
  const samples = text.split('\n').filter((line) => line && line[0] !== '#').length;
  const before = await cpu(), times = [];
  for (let i = 0; i < runs; i++) times.push((await scrape(url, headers)).ms);
  const cpu_ms = ((await cpu()) - before) * 1000 / runs;
  times.sort((a, b) => a - b);
  const at = (q) => times[Math.floor(q * (runs - 1))].toFixed(1);
  console.log(`| ${name} | ${series} | ${samples} | ${(text.length / 1e6).toFixed(2)} MB | ${(first.bytes / 1e6).toFixed(2)} MB | ${at(0.5)} ms | ${at(0.99)} ms | ${cpu_ms.toFixed(1)} ms |`);
}

const v = await serve(null, { grpc: false });
const peer = spawn(process.execPath, [new URL('peer.mjs', import.meta.url).pathname], { stdio: ['ignore', 'pipe', 'inherit'] });
try {
  await v.post('/ingest/logs', lines(Array.from({ length: series }, (_, i) => call({ model: `model-${i}` }))));
  const peerUrl = String((await once(peer.stdout, 'data'))[0]).trim();
  const cpu = async () => Number((await v.get('/metrics')).match(/^process_cpu_seconds_total (\S+)/m)[1]);
  const peerCpu = async () => Number(await (await fetch(`${peerUrl}/cpu`)).text());
  console.log(`${cpus().length} × ${cpus()[0].model}, ${runs} scrapes each, goal ${goal_ms} ms`);
  console.log('| what | label sets | samples | text | on the wire | p50 | p99 | server CPU |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |');
  const open = 'application/openmetrics-text; version=1.0.0';
  await measure('OpenMetrics, gzip (as Prometheus asks)', `${v.url}/metrics`, { accept: open, 'accept-encoding': 'gzip' }, cpu);
  await measure('text 0.0.4, gzip', `${v.url}/metrics`, { 'accept-encoding': 'gzip' }, cpu);
  await measure('text 0.0.4, plain', `${v.url}/metrics`, {}, cpu);
  await measure('prom-client, text 0.0.4, plain', peerUrl, {}, peerCpu);
} finally {
  peer.kill();
  await v.stop();
  agent.destroy();
}
