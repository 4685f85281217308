// The same families with the same labels, kept and written by prom-client, the client library of Node programs: a server whose /metrics holds SERIES
// sets of labels. Prints its URL.
import { createServer } from 'node:http';
import { createRequire } from 'node:module';

const { Counter, Histogram, Registry } = createRequire(new URL('../../tests/e2e/package.json', import.meta.url))('prom-client');
const series = Number(process.env.SERIES ?? 1000), registers = [new Registry()];
const seconds = Array.from({ length: 14 }, (_, i) => 0.01 * 2 ** i), tokens = Array.from({ length: 14 }, (_, i) => 4 ** i);
const own = ['service', 'provider', 'model', 'operation', 'status'];
const genai = ['service_name', 'gen_ai_provider_name', 'gen_ai_request_model', 'gen_ai_operation_name', 'status'];
const counter = (name, labelNames = own) => new Counter({ name, help: name, labelNames, registers });
const histogram = (name, buckets, labelNames) => new Histogram({ name, help: name, buckets, labelNames, registers });

const usage = histogram('gen_ai_client_token_usage', tokens, [...genai, 'gen_ai_token_type']);
const durations = [[histogram('gen_ai_client_operation_duration_seconds', seconds, genai), 1], [histogram('ai_storefront_llm_duration_seconds', seconds, own), 0]];
const firsts = [[histogram('gen_ai_server_time_to_first_token_seconds', seconds, genai), 1], [histogram('ai_storefront_llm_ttft_seconds', seconds, own), 0]];
const counters = ['requests', 'errors', 'cost_usd'].map((name) => counter(`ai_storefront_llm_${name}_total`));
const tokenCounter = counter('ai_storefront_llm_tokens_total', [...own, 'type']);
for (let i = 0; i < series; i++) {
  const values = ['ai-storefront', 'openai', `model-${i}`, 'openai.chat.completions.create', 'OK'];
  const both = [own, genai].map((names) => Object.fromEntries(names.map((name, n) => [name, values[n]])));
  for (const [type, count] of [['input', 159], ['output', 237]]) {
    usage.observe({ ...both[1], gen_ai_token_type: type }, count);
    tokenCounter.inc({ ...both[0], type }, count);
  }
  for (const [family, style] of durations) family.observe(both[style], 4.283);
  for (const [family, style] of firsts) family.observe(both[style], 0.3);
  for (const family of counters) family.inc(both[0], 1);
}
const server = createServer(async (request, response) => {
  if (request.url === '/cpu') return response.end(String((process.cpuUsage().user + process.cpuUsage().system) / 1e6));
  response.setHeader('content-type', registers[0].contentType);
  response.end(await registers[0].metrics());
}).listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
process.on('SIGTERM', () => process.exit(0));
