// Every page of the web page, with a day of a storefront in the store.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { serve } from './lib/vitrine.mjs';
import { address, arrives, feed, launch, open } from './lib/page.mjs';

test('the page shows a day of a storefront', async (t) => {
  const server = await serve(t, { grpc: false });
  const browser = await launch(t);
  const traces = await feed(server);
  const go = (t, path, options) => open(t, browser, server.url + path, options);
  const fallen = traces.find((trace) => trace.spans[0].fallback && trace.spans.some((s) => s.kind === 'llm' && s.status === 'OK'));
  const table = traces.find((trace) => JSON.stringify(trace.spans).includes('| Weight |'));
  const failed = traces.filter((trace) => trace.spans.some((s) => s.status === 'ERROR')).length;

  await t.test('overview: tiles say what the API says, and lead to the traces behind them', async (t) => {
    const page = await go(t, '/');
    const { now } = await server.get('/api/v1/overview?from=-24h');
    const tile = (name) => page.locator('.tile', { has: page.locator(`.name:text-is("${name}")`) });
    await tile('LLM calls').locator('.value').waitFor();
    assert.equal((await tile('LLM calls').locator('.value').innerText()).replace(/\D/g, ''), String(now.llm_calls));
    await page.locator('.chart .uplot').nth(7).waitFor(); // charts follow the tiles
    await tile('Error rate').click();
    await arrives(page, /^\/traces\?q=kind:llm status:error/);
    await page.locator('.trow:not(.head)').first().waitFor();
  });

  await t.test('overview: a range from the picker goes into the address, and back again', async (t) => {
    const page = await go(t, '/');
    await page.getByRole('button', { name: 'Time range' }).click();
    await page.getByRole('menuitemradio', { name: 'Last 4 hours' }).click();
    await arrives(page, /^\/\?from=-4h$/);
    assert.match(await page.getByRole('button', { name: 'Time range' }).innerText(), /Last 4 hours/);
    await page.goBack();
    await page.getByText('Last 24 hours').waitFor();
  });

  await t.test('traces: the list goes on as far as one scrolls', async (t) => {
    const page = await go(t, '/traces');
    await page.getByText('200+ traces').waitFor();
    // As one scrolls: again, where the rows had not their height yet.
    await page.waitForFunction((count) => {
      const list = document.querySelector('.virtual.rows');
      list?.scrollTo(0, list.scrollHeight);
      return document.body.innerText.includes(`${count} traces`);
    }, traces.length);
    assert.equal(await page.locator('.trow').count() < 80, true, 'only the rows in sight exist');
  });

  await t.test('traces: the filter bar completes fields and values', async (t) => {
    const page = await go(t, '/traces');
    const filter = page.getByRole('combobox', { name: 'Filter' });
    await filter.fill('stat');
    await page.getByRole('option', { name: /status:/ }).waitFor();
    await page.keyboard.press('Tab');
    assert.equal(await filter.inputValue(), 'status:');
    await page.getByRole('option', { name: 'error' }).click();
    await arrives(page, /q=status:error$/);
    await page.getByText(new RegExp(`^${failed} traces`)).waitFor();
    await filter.fill('status:error model:gpt');
    await page.getByRole('option', { name: /gpt-4o-mini/ }).waitFor();
  });

  await t.test('traces: a mistake is pointed at, under its character', async (t) => {
    const page = await go(t, '/traces?q=kind:llm status:bad', { expected: [/400/] });
    const wrong = page.locator('#filter-wrong');
    await wrong.waitFor();
    const asked = await server.fetch('/api/v1/traces?q=' + encodeURIComponent('kind:llm status:bad'));
    const { error } = await asked.json();
    assert.equal(asked.status, 400);
    assert.ok((await wrong.innerText()).includes(error.message));
    assert.equal((await wrong.locator('.point').textContent()).indexOf('▲'), error.column - 1);
  });

  await t.test('traces: facets narrow, leave out, and the back button undoes it', async (t) => {
    const page = await go(t, '/traces', { width: 1400 });
    const facet = page.locator('.facet', { hasText: 'anthropic' }).first();
    await facet.click();
    await arrives(page, /q=provider:anthropic$/);
    await page.locator('.facet.on').waitFor();
    await page.locator('.facet', { hasText: 'claude-sonnet-4-5' }).first().click({ modifiers: ['Alt'] });
    await arrives(page, /-model:claude-sonnet-4-5$/);
    await page.goBack();
    await arrives(page, /q=provider:anthropic$/);
    await page.goBack();
    await arrives(page, /^\/traces$/);
    await page.getByText('200+ traces').waitFor();
  });

  await t.test('traces: brushing the histogram filters by duration', async (t) => {
    const page = await go(t, '/traces');
    const bars = await page.locator('.histo .bars').boundingBox();
    await page.mouse.move(bars.x + bars.width * 0.6, bars.y + 30);
    await page.mouse.down();
    await page.mouse.move(bars.x + bars.width * 0.8, bars.y + 30, { steps: 4 });
    await page.mouse.up();
    await arrives(page, /q=duration:[\d.]+ms\.\.[\d.]+ms$/);
    await page.locator('.trow:not(.head)').first().waitFor();
  });

  await t.test('traces: columns and a saved view come back by name', async (t) => {
    const page = await go(t, '/traces?q=status:error');
    await page.getByRole('button', { name: 'Columns' }).click();
    await page.getByLabel('Trace id').check();
    await page.keyboard.press('Escape');
    await arrives(page, /cols=.*id/);
    await page.getByRole('columnheader', { name: 'Trace id' }).waitFor();
    await page.getByRole('button', { name: 'Saved views' }).click();
    await page.getByLabel('Save this filter as').fill('Night watch');
    await page.getByRole('button', { name: 'Save', exact: true }).click();
    await page.goto(server.url + '/traces');
    await page.getByRole('button', { name: 'Saved views' }).click();
    await page.getByRole('button', { name: /Night watch/ }).first().click();
    await arrives(page, /q=status:error.*cols=.*id/);
  });

  await t.test('traces: j, k and Enter open one without a mouse', async (t) => {
    const page = await go(t, '/traces');
    await page.locator('.trow:not(.head)').nth(3).waitFor();
    await page.keyboard.press('j');
    await page.keyboard.press('j');
    await page.keyboard.press('k');
    await page.keyboard.press('Enter');
    await arrives(page, /^\/traces\/[0-9a-f]{32}/);
    await page.locator('.wrow').first().waitFor();
    await page.goBack();
    await arrives(page, /^\/traces$/);
  });

  await t.test('trace: begins at what failed, explains the fallback, and links to thread and user', async (t) => {
    const page = await go(t, '/traces/' + fallen.trace_id);
    await page.getByText('The shopper was answered, but not as meant.').waitFor();
    const broken = fallen.spans.find((s) => s.status === 'ERROR');
    assert.ok((await page.locator('.detail').innerText()).includes(broken.error));
    assert.equal(await page.locator('.wrow').count(), fallen.spans.length);
    assert.ok(await page.locator('.wbar.critical').count() >= 2, 'the critical path is marked');
    await page.getByRole('link', { name: fallen.spans[0].thread_id }).click();
    await arrives(page, new RegExp(`^/threads/${fallen.spans[0].thread_id}\\?trace=${fallen.trace_id}`));
    await page.locator('.turn.chosen').waitFor();
  });

  await t.test('trace: a deep link opens its span; keys move; tabs show messages, attributes and JSON', async (t) => {
    const llm = table.spans.find((s) => s.kind === 'llm' && s.status === 'OK');
    const page = await go(t, `/traces/${table.trace_id}?span=${llm.span_id}`);
    await page.locator('.detail h2', { hasText: llm.operation }).waitFor();
    assert.equal(await page.locator('.said.assistant table td', { hasText: '980 g' }).count(), 1, 'markdown is a table');
    await page.getByRole('tab', { name: /Attributes/ }).click();
    await page.getByLabel('Find an attribute').fill('locale');
    await page.getByRole('row', { name: /shop\.locale/ }).waitFor();
    await page.getByRole('tab', { name: 'Raw' }).click();
    const raw = JSON.parse(await page.locator('.tabbody pre').innerText());
    assert.equal(raw.span_id, llm.span_id);
    await page.keyboard.press('Escape');
    await page.locator('.wrow.at').click();
    await page.keyboard.press('Home');
    await page.locator('.detail h2', { hasText: table.spans[0].operation }).waitFor();
    assert.match(address(page), new RegExp(`span=${table.spans[0].span_id}`));
  });

  await t.test('trace: what stands beside a bar never covers a name', async (t) => {
    for (const width of [1280, 390]) {
      const page = await go(t, `/traces/${fallen.trace_id}`, { width });
      await page.locator('.wtime').nth(fallen.spans.length - 1).waitFor();
      const covered = () => page.evaluate(() => [...document.querySelectorAll('.wrow')].filter((row) => row.querySelector('.wtime')?.getBoundingClientRect().left < row.querySelector('.wlane').getBoundingClientRect().left - 1).map((row) => row.innerText));
      assert.deepEqual(await covered(), [], `${width} px wide`);
    }
  });

  await t.test('trace: a score is added and stays', async (t) => {
    const page = await go(t, '/traces/' + table.trace_id);
    await page.getByRole('tab', { name: /Scores/ }).click();
    await page.getByLabel('Name').fill('helpfulness');
    await page.getByLabel('Value').fill('0.75');
    await page.getByLabel('Comment').fill('clear table');
    await page.getByRole('button', { name: 'Add the score' }).click();
    await page.getByRole('row', { name: /helpfulness.*0\.75.*clear table/ }).waitFor();
    const { scores } = await server.get('/api/v1/scores?trace_id=' + table.trace_id);
    assert.ok(scores.some((s) => s.name === 'helpfulness' && s.value === 0.75));
  });

  await t.test('trace: an id that is not there is said so', async (t) => {
    const page = await go(t, '/traces/00000000000000000000000000000bad', { expected: [/404/] });
    await page.getByText('No such trace').waitFor();
  });

  await t.test('threads: sorted by the server, opened as the shopper saw them', async (t) => {
    const page = await go(t, '/threads');
    await page.getByRole('button', { name: 'Longest' }).click();
    await arrives(page, /sort=turns/);
    const { threads } = await server.get('/api/v1/threads?sort=turns&limit=1&from=-24h');
    await page.locator('.trow:not(.head)').first().click();
    await arrives(page, /^\/threads\/thread-/);
    await page.locator('.turn').first().waitFor();
    assert.equal(await page.locator('.turn').count(), threads[0].turn_count);
    const meta = await page.locator('.turn .meta').first().innerText();
    for (const word of ['Took', 'Tokens', 'Cost']) assert.ok(meta.includes(word), `an answer says its ${word}`);
  });

  await t.test('thread: a fallback is marked in the conversation and leads to the call that failed', async (t) => {
    const page = await go(t, '/threads/' + fallen.spans[0].thread_id);
    await page.locator('.bubble.fallback', { hasText: 'Fallback.' }).first().waitFor();
    await page.locator('.bubble.fallback .note a').first().click();
    await arrives(page, /^\/traces\/[0-9a-f]{32}\?span=/);
  });

  await t.test('users: by what they cost, down to their conversations', async (t) => {
    const page = await go(t, '/users');
    const { users } = await server.get('/api/v1/users?from=-24h&limit=1');
    await page.getByRole('link', { name: users[0].user_id, exact: true }).click();
    await arrives(page, new RegExp(`^/threads\\?q=user:${users[0].user_id}`));
    await page.locator('.trow:not(.head)').first().waitFor();
  });

  await t.test('models: mix, cost over time and prices', async (t) => {
    const page = await go(t, '/models');
    const { models } = await server.get('/api/v1/overview?from=-24h');
    for (const { model } of models) await page.getByRole('link', { name: model, exact: true }).waitFor();
    await page.getByRole('button', { name: 'Tokens', exact: true }).click();
    await page.getByLabel('Find a price').fill('gpt-4o-mini');
    await page.getByRole('region', { name: 'Prices' }).getByText('gpt-4o-mini', { exact: true }).first().waitFor();
  });

  await t.test('services: the map has every service and provider, and leads to their traces', async (t) => {
    const page = await go(t, '/services');
    for (const name of ['ai-storefront', 'catalogue', 'openai', 'anthropic']) await page.getByRole('link', { name: new RegExp(`^${name} `) }).waitFor();
    await page.getByRole('link', { name: /^catalogue / }).press('Enter');
    await arrives(page, /^\/traces\?q=service:catalogue/);
  });

  await t.test('alerts: without monitors the page says how to begin', async (t) => {
    const page = await go(t, '/alerts', { expected: [/404|501/] });
    await page.getByText('vitrine serve --alerts monitors.yaml').waitFor();
  });

  await t.test('SQL: runs, draws, shares, exports, remembers', async (t) => {
    const sql = `SELECT model, count(*) AS calls FROM spans WHERE kind = 'llm' GROUP BY model ORDER BY calls DESC`;
    const page = await go(t, '/sql');
    await page.getByLabel('SQL statement').fill(sql);
    await page.keyboard.press('Control+Enter');
    await arrives(page, /^\/sql\?sql=SELECT model/);
    const answer = await server.post('/api/v1/sql', { sql });
    await page.locator('.sqltable .trow:not(.head)').first().waitFor();
    assert.equal(await page.locator('.sqltable .trow:not(.head)').count(), answer.rows.length);
    assert.equal(await page.locator('.hbars li').count(), answer.rows.length);
    const saved = page.waitForEvent('download');
    await page.getByRole('button', { name: 'CSV' }).click();
    const csv = await readFile(await (await saved).path(), 'utf8');
    assert.equal(csv.split('\r\n')[0], 'model,calls');
    assert.equal(csv.split('\r\n')[1], answer.rows[0].join(','));
    await page.reload();
    await page.locator('.sqltable .trow:not(.head)').first().waitFor();
    await page.getByRole('button', { name: 'Statements of before' }).click();
    await page.getByRole('button', { name: /SELECT model, count/ }).first().waitFor();
  });

  await t.test('SQL: completes columns and says what is wrong', async (t) => {
    const page = await go(t, '/sql', { expected: [/400/] });
    await page.locator('.schema li').first().waitFor();
    await page.getByLabel('SQL statement').fill('SELECT durat');
    await page.getByRole('option', { name: /duration_ms/ }).click();
    assert.equal(await page.getByLabel('SQL statement').inputValue(), 'SELECT duration_ms');
    await page.getByLabel('SQL statement').fill('SELECT nothing_like_it FROM spans');
    await page.keyboard.press('Control+Enter');
    await page.getByRole('alert').getByText(/nothing_like_it/).waitFor();
  });

  await t.test('settings: health as the server says it; a key is shown once and can be revoked', async (t) => {
    const page = await go(t, '/settings');
    await page.getByText('Spans kept').waitFor();
    await page.getByRole('button', { name: 'Add a key' }).click();
    await page.getByLabel('Name').fill('from the page');
    await page.getByRole('button', { name: 'Make the key' }).click();
    const key = await page.locator('.newkey').innerText();
    const probe = await server.fetch('/v1/traces', { method: 'POST', headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' }, body: '{"resourceSpans":[]}' });
    assert.equal(probe.status, 200);
    await page.getByRole('button', { name: 'Done' }).click();
    assert.ok(!(await page.content()).includes(key), 'the key is gone from the page');
    await page.getByRole('row', { name: /from the page/ }).getByRole('button', { name: 'Revoke' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke', exact: true }).click();
    await page.getByText('from the page is revoked').waitFor();
  });

  await t.test('the keyboard alone reaches every page; ? lists the keys; Ctrl K opens a trace by its id', async (t) => {
    const page = await go(t, '/');
    await page.locator('.tile .value').first().waitFor();
    for (const [key, path] of [['t', '/traces'], ['c', '/threads'], ['u', '/users'], ['l', '/live'], ['m', '/models'], ['v', '/services'], ['a', '/alerts'], ['s', '/sql'], ['e', '/settings'], ['f', '/start'], ['o', '/']]) {
      await page.keyboard.press('g');
      await page.keyboard.press(key);
      await arrives(page, new RegExp(`^${path}$`));
    }
    await page.keyboard.press('?');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+k');
    await page.getByRole('combobox', { name: 'Command' }).fill(table.trace_id);
    await page.keyboard.press('Enter');
    await arrives(page, new RegExp(`^/traces/${table.trace_id}`));
  });
});

test("the storefront's own console log, as it was printed, reads as conversations", async (t) => {
  const server = await serve(t, { grpc: false });
  const browser = await launch(t);
  const log = await readFile(new URL('../samples/storefront-console.txt', import.meta.url), 'utf8');
  const { accepted } = await server.post('/ingest/logs', log, { 'content-type': 'text/plain' });
  const { threads } = await server.until('/api/v1/threads?from=0', (a) => a.threads.length > 0);
  assert.ok(accepted > 1);
  const page = await open(t, browser, `${server.url}/threads?from=-90d`);
  await page.getByRole('link', { name: threads[0].thread_id, exact: true }).click();
  const { turns } = await server.get(`/api/v1/threads/${encodeURIComponent(threads[0].thread_id)}`);
  await page.locator('.turn').first().waitFor();
  assert.equal(await page.locator('.turn').count(), turns.length);
  await page.locator('.turn').first().getByRole('link', { name: 'Trace' }).click();
  await arrives(page, /^\/traces\/[0-9a-f]{32}/);
  await page.locator('.wrow', { hasText: 'chat.continue_thread' }).first().waitFor();
  await page.locator('.wrow', { hasText: 'openai.chat.completions.create' }).first().waitFor(); // a trace of its own in the log
});
