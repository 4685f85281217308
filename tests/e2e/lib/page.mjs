// Looks at the page as people do: headless Chromium against a real server.
//
//   const browser = await launch(t);
//   const page = await open(t, browser, server.url + '/traces');   // fails the test for errors and policy violations in its console
//   await clean(page);                                             // axe-core finds nothing
import { access, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import assert from 'node:assert/strict';
import { chromium } from 'playwright-core';
import { makeStory } from '../../../ui/dev/data.mjs';
import { sendTraces } from '../../../ui/dev/otlp.mjs';

const axePath = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
const flags = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];
export const PATIENCE_MS = 60_000;

async function chromiumPath() {
  const named = process.env.CHROMIUM ? [process.env.CHROMIUM] : ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
  for (const path of named) if (await access(path).then(() => true, () => false)) return path;
  throw new Error('no Chromium: install it (apt-get install chromium) or name it with CHROMIUM=…');
}

/** A browser for all tests of a file; closed when `t` ends. */
export async function launch(t) {
  const browser = await chromium.launch({ executablePath: await chromiumPath(), args: flags, timeout: 120_000 });
  t.after(() => browser.close());
  return browser;
}

/**
 * A tab of its own. What the browser complains about (exceptions, console errors, violations of the Content-Security-Policy)
 * fails the test at its end; `expected` names what a test provokes on purpose.
 */
export async function open(t, browser, address, { dark = false, width = 1280, height = 900, key, expected = [], prefs = {} } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: dark ? 'dark' : 'light', acceptDownloads: true });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  const complaints = [];
  const complain = (text) => { if (!expected.some((one) => one.test(text))) complaints.push(text); };
  page.on('pageerror', (e) => complain(`exception: ${e.message}`));
  page.on('console', (m) => { if (m.type() === 'error') complain(`console: ${m.text()} (${m.location().url})`); });
  page.on('dialog', (d) => { complaints.push(`a dialog opened: ${d.message()}`); d.dismiss(); });
  await page.addInitScript((kept) => {
    addEventListener('securitypolicyviolation', (e) => console.error(`policy: ${e.violatedDirective} ${e.blockedURI}`));
    for (const [name, value] of Object.entries(kept)) if (localStorage.getItem(`vitrine.${name}`) === null) localStorage.setItem(`vitrine.${name}`, JSON.stringify(value));
  }, key ? { ...prefs, key } : prefs);
  t.after(async () => {
    await context.close();
    assert.deepEqual(complaints, [], 'the browser complained');
  });
  await page.goto(address);
  return page;
}

/** No finding of axe-core. */
export async function clean(page, what) {
  // by evaluate, which the page's policy does not concern: a script element of ours would be refused, as it should
  await page.evaluate(await readFile(axePath, 'utf8'));
  // What is still fading in has no colours to judge yet; what moves for ever is not waited for.
  await page.evaluate(() => {
    for (const animation of document.getAnimations()) if (Number.isFinite(animation.effect?.getComputedTiming().endTime)) animation.finish();
  });
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ['violations'] }));
  const found = violations.map((v) => `${v.id} (${v.impact}): ${v.help}\n    ${v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join('\n    ')}`);
  assert.deepEqual(found, [], `${what ?? page.url()} is not accessible`);
}

/** Waits until the page has what it asked for. */
export async function settled(page) {
  await page.locator('main').first().waitFor();
  await page.waitForFunction(() => !document.querySelector('.ghost-line, [aria-busy="true"], .progress.on'));
}

/**
 * Feeds a server with most of a day of the storefront and waits until its traces are there. Not with all of it: the oldest would
 * leave the last 24 hours while a test counts them.
 */
export async function feed(server, count = 300, { key } = {}) {
  const traces = makeStory(count, Date.now(), 0.9);
  await sendTraces(server.url, traces, { key });
  const headers = key ? { authorization: `Bearer ${key}` } : undefined;
  await server.until(`/api/v1/traces?from=-30d&limit=1000`, (a) => a.traces.length >= Math.min(1000, traces.length), { headers });
  return traces;
}

/** One span as OTLP JSON takes it; `attributes` as a plain object. */
export function otlp(spans, service = 'test-shop') {
  const value = (v) => (typeof v === 'number' ? (Number.isInteger(v) ? { intValue: String(v) } : { doubleValue: v }) : typeof v === 'boolean' ? { boolValue: v } : { stringValue: String(v) });
  const list = (all) => Object.entries(all ?? {}).map(([key, v]) => ({ key, value: value(v) }));
  const now = BigInt(Date.now()) * 1_000_000n;
  return {
    resourceSpans: [{
      resource: { attributes: list({ 'service.name': service }) },
      scopeSpans: [{
        spans: spans.map((s) => ({
          traceId: s.trace, spanId: s.span, parentSpanId: s.parent ?? '', name: s.name, kind: 3, startTimeUnixNano: String(now - BigInt(s.ms ?? 800) * 1_000_000n), endTimeUnixNano: String(now),
          attributes: list(s.attributes), events: (s.events ?? []).map((e) => ({ name: e.name, timeUnixNano: String(now), attributes: list(e.attributes) })), status: s.error === undefined ? { code: 1 } : { code: 2, message: s.error },
        })),
      }],
    }],
  };
}

/** `path` with what is in the address bar after it, for assertions. */
export const address = (page) => { const url = new URL(page.url()); return url.pathname + decodeURIComponent(url.search.replace(/\+/g, ' ')); };

/** Waits until `check` is true of the tab's address. */
export const arrives = (page, check) => page.waitForFunction((source) => new RegExp(source).test(decodeURIComponent((location.pathname + location.search).replace(/\+/g, ' '))), check.source);
