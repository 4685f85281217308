// How long a scrape takes: a server that holds SERIES series of span metrics, scraped RUNS times over one connection.
import { serve } from '../../tests/e2e/lib/vitrine.mjs';
import { call, lines } from '../../tests/e2e/lib/storefront.mjs';
import { cpus } from 'node:os';

const series = Number(process.env.SERIES ?? 1000), runs = Number(process.env.RUNS ?? 200), goal_ms = 10;
const v = await serve(null, { grpc: false });
try {
  await v.post('/ingest/logs', lines(Array.from({ length: series }, (_, i) => call({ model: `model-${i}` }))));
  const processor = async () => Number((await v.get('/metrics')).match(/^process_cpu_seconds_total (\S+)/m)[1]);
  console.log(`${cpus().length} × ${cpus()[0].model}, ${runs} scrapes each, goal ${goal_ms} ms`);
  for (const [name, accept] of [['text 0.0.4', 'text/plain;version=0.0.4'], ['OpenMetrics', 'application/openmetrics-text; version=1.0.0']]) {
    const times = [];
    let bytes = 0, samples = 0;
    const before = await processor();
    for (let i = 0; i < runs; i++) {
      const start = performance.now();
      const body = new Uint8Array(await (await v.fetch('/metrics', { headers: { accept } })).arrayBuffer());
      times.push(performance.now() - start);
      bytes = body.length;
      if (i === 0) samples = new TextDecoder().decode(body).split('\n').filter((line) => line && line[0] !== '#').length;
    }
    const cpu_ms = ((await processor()) - before) * 1000 / runs;
    times.sort((a, b) => a - b);
    const at = (q) => times[Math.floor(q * (runs - 1))].toFixed(2);
    console.log(`${name}: ${series} label sets, ${samples} samples, ${(bytes / 1e6).toFixed(2)} MB; p50 ${at(0.5)} ms, p99 ${at(0.99)} ms as seen by the client; ${cpu_ms.toFixed(2)} ms of the server's CPU`);
  }
} finally {
  await v.stop();
}
