// What applications send is text on the page, never markup; and the page is for everybody: axe-core in light and dark, phone to wide.
import test from 'node:test';
import assert from 'node:assert/strict';
import { serve } from './lib/vitrine.mjs';
import { clean, feed, launch, open, otlp, settled } from './lib/page.mjs';

const evil = `<img src=x onerror="globalThis.pwned=1"><script>globalThis.pwned=2</script>`;
const markdown = [
  evil, '[click](javascript:globalThis.pwned=3)', '[click](JaVaScRiPt:globalThis.pwned=4)', '[click](data:text/html,<script>globalThis.pwned=5</script>)', '![x](https://elsewhere.invalid/track.png)',
  '<https://elsewhere.invalid/>', '| a | b |\n|---|---|\n| <svg onload=globalThis.pwned=6> | `<b>` |', '```html\n</code></pre><script>globalThis.pwned=7</script>\n```', '[a](https://ok.invalid/"onmouseover="globalThis.pwned=8)',
  '# <iframe src="javascript:globalThis.pwned=9">', '[ref]: javascript:alert(1)', '\u202Egnp.exe', '*'.repeat(3000), '[['.repeat(2000), '> '.repeat(500) + 'deep', '- '.repeat(400) + 'deep', '|'.repeat(4000) + '\n|-|',
].join('\n\n');

test('nothing that was sent runs, loads or breaks out', async (t) => {
  const server = await serve(t, { grpc: false });
  const browser = await launch(t);
  const trace = 'a0'.repeat(16), root = 'b0'.repeat(8);
  const common = { 'user.id': `user-${evil}`, 'gen_ai.conversation.id': `thread/${evil}`, 'chat.turn_id': evil };
  await server.post('/v1/traces', otlp([
    { trace, span: root, name: `chat.${evil}`, ms: 900, attributes: { ...common, 'input.value': markdown, 'output.value': markdown } },
    { trace, span: 'c0'.repeat(8), parent: root, name: `call ${evil}`, ms: 800, error: `failed ${evil}`, attributes: { ...common, 'gen_ai.operation.name': 'chat', 'gen_ai.system': `provider${evil}`, 'gen_ai.request.model': `model${evil}`,
      'gen_ai.input.messages': JSON.stringify([{ role: `user${evil}`, content: markdown }, { role: 'assistant', tool_calls: [{ function: { name: evil, arguments: `{"a":"${'</pre>'}"}` } }] }]), 'gen_ai.output.messages': JSON.stringify([{ role: 'assistant', content: markdown }]),
      [`attr${evil}`]: evil, 'javascript:': 'javascript:globalThis.pwned=10', __proto__x: '{}' }, events: [{ name: evil, attributes: { [evil]: evil } }] },
  ], `service${evil}`));
  await server.until('/api/v1/traces', (a) => a.traces.length === 1);
  await server.post('/api/v1/scores', { trace_id: trace, span_id: root, name: `score${evil}`, value: 1, comment: evil });

  const { traces: [row] } = await server.get('/api/v1/traces');
  const pages = ['/', '/traces', `/traces/${trace}`, `/traces/${trace}?span=${root}`, '/threads', `/threads/${encodeURIComponent(row.thread_id)}`, '/users', '/models', '/services', `/traces?q=${encodeURIComponent(evil)}`,
    `/sql?sql=${encodeURIComponent(`SELECT operation, model, user_id, error, attributes FROM spans`)}`, `/nothing${encodeURIComponent(evil)}`, '/start'];
  for (const path of pages) {
    await t.test(decodeURIComponent(path).slice(0, 60), async (t) => {
      const page = await open(t, browser, server.url + path, { expected: [/400/] });
      await settled(page);
      if (path.startsWith(`/traces/${trace}`)) for (const name of ['Conversation', /Attributes/, /Events/, /Scores/, 'Raw']) { await page.getByRole('tab', { name }).click(); }
      const found = await page.evaluate(() => ({
        pwned: globalThis.pwned, scripts: document.querySelectorAll('script').length, foreign: document.querySelectorAll('#app script, #app iframe, #app img, #app object, #app embed, #app base, #app link, #app style, #app meta').length,
        handlers: [...document.querySelectorAll('#app *')].filter((el) => [...el.attributes].some((a) => /^on/i.test(a.name))).length,
        links: [...document.querySelectorAll('#app a[href]')].map((a) => a.href).filter((href) => !/^(https?:|mailto:)/.test(href)), others: [...document.querySelectorAll('#app a[href]')].filter((a) => a.origin !== location.origin && !/noopener/.test(a.rel)).length,
      }));
      // two scripts: the page, and what asks for its first figures early
      assert.deepEqual(found, { pwned: undefined, scripts: 2, foreign: 0, handlers: 0, links: [], others: 0 });
    });
  }

  await t.test('live', async (t) => {
    const page = await open(t, browser, server.url + '/live');
    await page.getByText('Connected', { exact: true }).waitFor();
    await server.post('/v1/traces', otlp([{ trace: 'a1'.repeat(16), span: 'b1'.repeat(8), name: evil, error: evil, attributes: { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': evil } }]));
    await page.locator('.trow.failed').first().waitFor();
    assert.equal(await page.evaluate(() => globalThis.pwned), undefined);
  });

  await t.test('the policy of the page lets nothing in from elsewhere', async () => {
    const policy = (await server.fetch('/')).headers.get('content-security-policy');
    assert.match(policy, /default-src 'none'/);
    assert.doesNotMatch(policy, /unsafe|\*|https?:/);
  });
});

test('every page is accessible, fits a phone and does not jump', async (t) => {
  const server = await serve(t, { grpc: false });
  const browser = await launch(t);
  const traces = await feed(server, 120);
  const fallen = traces.find((trace) => trace.spans[0].fallback) ?? traces[0];
  const titled = traces.find((trace) => JSON.stringify(trace).includes('### Four days')) ?? assert.fail('no answer has a heading of its own');
  const pages = ['/', '/traces', `/traces/${fallen.trace_id}`, '/threads', `/threads/${fallen.spans[0].thread_id}`, `/threads/${titled.spans[0].thread_id}`, '/users', '/live', '/models', '/services', '/alerts', '/sql?sql=SELECT model, count(*) AS calls FROM spans GROUP BY model', '/settings', '/start'];
  for (const path of pages) {
    await t.test(path.slice(0, 40), async (t) => {
      const page = await open(t, browser, server.url + path);
      await settled(page);
      const jumps = await page.evaluate(() => new Promise((done) => {
        let sum = 0;
        new PerformanceObserver((list) => { for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value; }).observe({ type: 'layout-shift', buffered: true });
        setTimeout(() => done(sum), 50);
      }));
      assert.ok(jumps < 0.1, `${path} jumps while it loads: ${jumps.toFixed(3)}`);
      await clean(page, `${path} in the light`);
      await page.emulateMedia({ colorScheme: 'dark' });
      assert.equal(await page.evaluate(() => getComputedStyle(document.documentElement).colorScheme), 'dark');
      await clean(page, `${path} in the dark`);
      await page.setViewportSize({ width: 375, height: 740 });
      await page.waitForTimeout(100);
      assert.equal(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth <= 0), true, `${path} is wider than a phone`);
    });
  }
});
