// The same for Python. Skipped, and said so, where Python's packages cannot be had.
import test from 'node:test';
import assert from 'node:assert/strict';
import { access, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { run, serve } from '../e2e/lib/vitrine.mjs';
import { fakeLlm, spansOf } from './lib.mjs';

const here = join(dirname(fileURLToPath(import.meta.url)), 'python');
const venv = join(here, '.venv');
const python = join(venv, 'bin/python');

async function prepare() {
  const done = join(venv, 'ready');
  if (await access(done).then(() => true, () => false)) return null;
  await mkdir(venv, { recursive: true });
  const made = await run(['-m', 'venv', venv], { command: 'python3', timeoutMs: 120_000 }).catch((e) => ({ code: 1, stderr: String(e) }));
  if (made.code !== 0) return `python3 -m venv: ${made.stderr.trim().split('\n').pop()}`;
  const got = await run(['-m', 'pip', 'install', '-q', '-r', join(here, 'requirements.txt')], { command: python, timeoutMs: 300_000 });
  if (got.code !== 0) return `pip: ${got.stderr.trim().split('\n').pop()}`;
  await run([done], { command: 'touch' });
  return null;
}
const missing = await prepare();

for (const [mode, what] of [['otel', 'the OpenTelemetry SDK of Python, spans by hand'], ['openllmetry', 'OpenLLMetry in Python']]) {
  test(what, { skip: missing ?? false }, async (t) => {
    const [v, model] = await Promise.all([serve(t), fakeLlm(t)]);
    const { code, stderr } = await run([join(here, 'openai_app.py'), mode], {
      command: python, timeoutMs: 90_000,
      env: { OPENAI_BASE_URL: `${model.url}/v1`, OPENAI_API_KEY: 'sk-test-0123456789abcdef', OTEL_EXPORTER_OTLP_ENDPOINT: v.url, OTEL_SERVICE_NAME: 'shop' },
    });
    assert.equal(code, 0, stderr);
    const { traces, spans } = await spansOf(v, 'shop', 3);
    assert.equal(traces.length, 1);
    const [jacket, tent] = ['gpt-4o', 'gpt-4o-mini'].map((name) => spans.find((s) => s.kind === 'llm' && s.model === name));
    assert.deepEqual([jacket.tokens.input, jacket.tokens.output], [12, 61]);
    assert.deepEqual([tent.tokens.input, tent.tokens.output], [8, 34]);
    assert.ok(Math.abs(jacket.cost_usd - 0.00064) < 1e-9, `cost ${jacket.cost_usd}`);
    assert.equal(jacket.prompt[0].content, 'Which jacket fits rainy weather?');
    assert.match(JSON.stringify(tent.completion), /Tarn 3/);
    for (const span of [jacket, tent]) assert.deepEqual([span.user_id, span.thread_id, span.turn_id, span.provider], ['ada', 'thread-1', 'turn-1', 'openai']);
  });
}
