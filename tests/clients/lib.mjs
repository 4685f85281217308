// A fake model, and an application under test run to its end against it and a server.
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { program, run } from '../e2e/lib/vitrine.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const build = join(dirname(program), '../..');

/** Starts build/examples/fake_llm: {url}. Ends with the test. */
export async function fakeLlm(t, behave = '') {
  const child = spawn(join(build, 'examples/fake_llm'), ['--listen', '127.0.0.1:0', '--behave', behave], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  const url = await new Promise((done, fail) => {
    child.once('error', fail);
    child.once('exit', (code) => fail(new Error(`fake_llm ended with ${code}`)));
    child.stdout.setEncoding('utf8').once('data', (text) => done(text.match(/http:\S+/)[0]));
  });
  return { url };
}

/** Runs tests/clients/apps/NAME under node with the model, the server and what else of environment it needs; fails when it does. */
export async function runApp(name, llm, env) {
  const { code, stdout, stderr } = await run([join(here, 'apps', name)], {
    command: process.execPath, cwd: here, timeoutMs: 90_000,
    env: { OPENAI_BASE_URL: `${llm.url}/v1`, OPENAI_API_KEY: 'sk-test-0123456789abcdef', OTEL_METRICS_EXPORTER: 'none', ...env },
  });
  if (code !== 0) throw new Error(`${name} ended with ${code}:\n${stdout}\n${stderr}`);
}

/** All spans of a service's traces, once there are `count` of them: [{…span}], oldest trace first. */
export async function spansOf(v, service, count) {
  const q = encodeURIComponent(`service:"${service}"`);
  const { traces } = await v.until(`/api/v1/traces?q=${q}&limit=100`, ({ traces }) => traces.reduce((n, t) => n + t.span_count, 0) >= count);
  const whole = await Promise.all(traces.reverse().map((t) => v.get(`/api/v1/traces/${t.trace_id}`)));
  return { traces, spans: whole.flatMap((t) => t.spans) };
}
