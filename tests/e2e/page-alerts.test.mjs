// The page of alerts, in Chromium against a server whose monitors fire, lack data, rest and cannot run; and silences.
import test from 'node:test';
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serve, tempDir } from './lib/vitrine.mjs';
import { clean, launch, open, otlp, settled } from './lib/page.mjs';

const monitors = `monitors:
  - name: Calls fail
    query: "sum(last_1h):count:test_shop.llm.errors{*} by {model} > 2"
    message: "Too many calls failed."
  - name: Answers are slow
    query: "avg(last_1h):avg:test_shop.llm.duration{*} > 600000"
    message: "Slow."
  - name: The other shop is silent
    query: "avg(last_1m):avg:other_shop.llm.duration{*} > 10"
    message: "Nothing comes."
    options:
      notify_no_data: true
      no_data_timeframe: 1
  - name: Nonsense
    query: "sum(last_1h):nonsense("
    message: "Never."
`;

const card = (page, name) => page.locator('article.monitor').filter({ has: page.getByRole('heading', { name, exact: true }) });
/** Until the card says so; the page is asked to look again meanwhile. */
async function says(page, name, text) {
  for (let i = 0; i < 300; i++) {
    if (await card(page, name).getByText(text, { exact: true }).first().isVisible()) return;
    await page.getByRole('button', { name: 'Refresh', exact: true }).first().click();
    await page.waitForTimeout(300);
  }
  assert.fail(`${name} never said ${text}: ${await card(page, name).textContent()}`);
}

test('monitors that fire, rest, lack data and cannot run; silences are made, expire and are lifted', async (t) => {
  const dir = await tempDir(t);
  await writeFile(join(dir, 'monitors.yaml'), monitors);
  const server = await serve(t, { grpc: false, args: ['--alerts', join(dir, 'monitors.yaml')] });
  const call = (i, error) => ({ trace: `${i}`.padStart(32, 'a'), span: `${i}`.padStart(16, 'b'), name: 'chat', error, attributes: { 'gen_ai.operation.name': 'chat', 'gen_ai.request.model': i % 2 ? 'gpt-4o' : 'claude' } });
  await server.post('/v1/traces', otlp([1, 3, 5, 7].map((i) => call(i, 'HTTP 500')).concat([2, 4, 6, 8].map((i) => call(i, 'HTTP 503')))));
  const browser = await launch(t);
  const page = await open(t, browser, server.url + '/alerts');

  await t.test('what fires comes first, with its groups; the rail counts it', async () => {
    await says(page, 'Calls fail', 'Alert');
    await says(page, 'Answers are slow', 'OK');
    await card(page, 'Nonsense').getByText('Cannot run').waitFor();
    assert.match(await card(page, 'Nonsense').textContent(), /nonsense/);
    assert.equal(await page.locator('article.monitor h2').first().textContent(), 'Calls fail');
    for (const model of ['gpt-4o', 'claude']) assert.match(await card(page, 'Calls fail').textContent(), new RegExp(`model:${model}.*now 4 errors`));
    assert.equal(await page.locator('.rail .badge').textContent(), '1');
    await clean(page);
  });

  await t.test('a monitor without data says so', async () => { await says(page, 'The other shop is silent', 'No data'); });

  await t.test('a silence is made with its reason and shown until it is lifted', async () => {
    await card(page, 'Calls fail').getByRole('button', { name: 'Silence Calls fail' }).click();
    await card(page, 'Calls fail').getByLabel('For').selectOption('240');
    await card(page, 'Calls fail').getByLabel('Reason').fill('<b>known</b>');
    await card(page, 'Calls fail').locator('form').getByRole('button', { name: 'Silence' }).click();
    const row = page.getByRole('row').filter({ hasText: 'Calls fail' });
    await row.getByText('<b>known</b>').waitFor();
    await card(page, 'Calls fail').getByText(/^Silenced until/).waitFor();
    const { silences } = await server.get('/api/v1/alerts');
    assert.equal(silences.length, 1);
    assert.ok(Math.abs(Date.parse(silences[0].until) - Date.now() - 240 * 60_000) < 60_000);
    await clean(page);
    await row.getByRole('button', { name: 'Lift' }).click();
    await row.waitFor({ state: 'detached' });
    assert.equal(await card(page, 'Calls fail').getByText(/^Silenced until/).count(), 0);
    assert.deepEqual((await server.get('/api/v1/alerts')).silences, []);
  });

  await t.test('a group alone can be silenced', async () => {
    const group = card(page, 'Calls fail').locator('section').filter({ hasText: 'model:claude' });
    await group.getByRole('button', { name: /Silence/ }).click();
    await group.locator('form').getByRole('button', { name: 'Silence' }).click();
    await group.getByText(/^Silenced until/).waitFor();
    assert.equal((await server.get('/api/v1/alerts')).silences[0].group, 'model:claude');
    await page.getByRole('row').filter({ hasText: 'model:claude' }).getByRole('button', { name: 'Lift' }).click();
    await group.getByText(/^Silenced until/).waitFor({ state: 'detached' });
  });

  await t.test('a silence that is over is gone without being lifted', async () => {
    await server.post('/api/v1/alerts/silences', { monitor: 'Answers are slow', minutes: 0.08, reason: 'a moment' });
    await says(page, 'Answers are slow', /^Silenced until/);
    for (let i = 0; i < 60 && (await page.getByText('a moment').count()); i++) {
      await page.waitForTimeout(300);
      await page.getByRole('button', { name: 'Refresh', exact: true }).first().click();
    }
    assert.equal(await page.getByText('a moment').count(), 0);
    await card(page, 'Answers are slow').getByText(/^Silenced until/).waitFor({ state: 'detached' });
  });

  await t.test('it works by keys, in the dark and on a phone', async (t) => {
    const phone = await open(t, browser, server.url + '/alerts', { dark: true, width: 390, height: 800 });
    await settled(phone);
    await phone.getByRole('button', { name: 'Silence Answers are slow' }).focus();
    await phone.keyboard.press('Enter');
    await card(phone, 'Answers are slow').locator('form').waitFor();
    await phone.keyboard.press('Escape');
    await card(phone, 'Answers are slow').locator('form').waitFor({ state: 'detached' });
    assert.equal(await phone.evaluate(() => document.documentElement.scrollWidth > innerWidth), false);
    await clean(phone);
  });
});
