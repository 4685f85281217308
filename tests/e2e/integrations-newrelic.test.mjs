// New Relic: what is sent there, and that the queries and the dashboard of integrations/newrelic ask for it in NRQL's own grammar.
import test from 'node:test';
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { root, serve } from './lib/vitrine.mjs';
import { call, lines, platform, turn } from './lib/storefront.mjs';
import { readRequest } from './lib/otlp.mjs';
import { parseNrql } from './lib/nrql.mjs';

const read = (path) => readFile(join(root, 'integrations/newrelic', path), 'utf8');

/** The queries of queries.nrql by the heading that they stand under. */
async function written() {
  const sections = { spans: [], logs: [], lines: [] };
  let into;
  for (const line of (await read('queries.nrql')).split('\n')) {
    if (line.startsWith('-- Spans that')) into = sections.spans;
    else if (line.startsWith('-- Logs that')) into = sections.logs;
    else if (line.startsWith('-- Lines of')) into = sections.lines;
    else if (line && !line.startsWith('--')) into.push(line);
  }
  for (const [name, queries] of Object.entries(sections)) assert.ok(queries.length >= 2, name);
  return sections;
}

/** The dotted names under which New Relic keeps an object's members. */
const names = (object, prefix = '') => Object.entries(object).flatMap(([key, value]) => (value !== null && typeof value === 'object' && !Array.isArray(value) ? names(value, `${prefix}${key}.`) : [prefix + key]));

function askOnlyFor(queries, type, known) {
  for (const query of queries) {
    const { events, attributes } = parseNrql(query);
    assert.deepEqual(events, [type], query);
    assert.deepEqual(attributes.filter((name) => !known.has(name)), [], `${query}: asks for what is not sent; sent: ${[...known].join(' ')}`);
  }
}

const traffic = () => [...turn({ fallback: true }), ...turn({ model: 'claude-sonnet-4', provider: 'anthropic' }), call({ error: 'HTTP 500' })];

test('New Relic: the queries are NRQL, and a query that is none is told', async () => {
  const all = Object.values(await written()).flat();
  for (const query of all) assert.ok(parseNrql(query).aggregates.length, query);
  for (const [bad, why] of [
    ['SELECT count(* FROM Span', /expected/], ['SELECT p95(duration.ms) FROM Span', /a function that NRQL has/], ['SELECT count(*) FROM Spans', /a type of event/],
    ['SELECT percentile(duration.ms) FROM Span', /2 to 11 arguments/], ['SELECT count(*) FROM Span GROUP BY name', /expected WHERE or FACET/], ['SELECT rate(count(*), 1 fortnight) FROM Span', /a unit of time/],
    ["SELECT count(*) FROM Span WHERE name LIKE chat FACET x", /a string/], ['SELECT sum(count(*)) FROM Span', /aggregate within another/], ['SELECT count(*) FROM Span WHERE FACET name', /expected an attribute/],
    ["SELECT count(*) FROM Log FACET a FACET b", /FACET once/], ['SELECT count(*) FROM Log SINCE yesteryear', /expected a number/], ['SELECT "x" FROM Log', /nothing of NRQL/],
  ]) assert.throws(() => parseNrql(bad), (error) => error instanceof SyntaxError && why.test(error.message), bad);
});

test('New Relic: the queries over spans and the dashboard ask for attributes that OTLP shipping sends', async (t) => {
  const door = await platform(t);
  const v = await serve(t, { args: ['--forward', `otlp=${door.url}|api-key: nr-key`], grpc: false });
  await v.post('/ingest/logs', lines(traffic()));
  await door.until((got) => got.length > 0);
  assert.deepEqual([door[0].path, door[0].headers['api-key'], door[0].headers['content-type']], ['/v1/traces', 'nr-key', 'application/x-protobuf']);
  const spans = door.flatMap(({ body }) => readRequest(body));
  for (const span of spans) assert.equal(new Set(span.attributes).size, span.attributes.length, `an attribute twice: ${span.attributes}`);
  const known = new Set([...spans.flatMap((span) => [...span.attributes, ...span.resource]), 'name', 'duration.ms', 'otel.status_code', 'timestamp', 'trace.id', 'id', 'parent.id', 'span.kind']); // the last: New Relic's own, of any OTLP span
  askOnlyFor((await written()).spans, 'Span', known);
  const { pages } = JSON.parse(await read('dashboard.json'));
  askOnlyFor(pages.flatMap((page) => page.widgets).flatMap((widget) => widget.rawConfiguration.nrqlQueries.map((q) => q.query)), 'Span', known);
});

test('New Relic: the queries over logs ask for attributes that log shipping sends', async (t) => {
  const door = await platform(t);
  const v = await serve(t, { args: ['--forward', `newrelic=${door.url}`], env: { NEW_RELIC_API_KEY: 'nr-key' }, grpc: false });
  const sent = traffic();
  await v.post('/ingest/logs', lines(sent));
  await door.until((got) => got.flatMap(({ json }) => json[0].logs).length === sent.length);
  const known = new Set();
  for (const { json: [{ common, logs }] } of door)
    for (const log of logs) {
      assert.ok(Object.values(log.attributes).every((value) => ['string', 'number', 'boolean'].includes(typeof value)), 'flat, as New Relic keeps it');
      assert.ok(Object.keys(log.attributes).length < 255);
      for (const name of ['timestamp', 'message', ...Object.keys(common.attributes), ...Object.keys(log.attributes)]) known.add(name);
    }
  const { logs, lines: ofAgents } = await written();
  askOnlyFor(logs, 'Log', known);
  askOnlyFor(ofAgents, 'Log', new Set(sent.flatMap((line) => names(line))));
});

test('New Relic gets each span as a log, with its key and its trace', async (t) => {
  const door = await platform(t);
  const v = await serve(t, { args: ['--forward', `newrelic=${door.url}`], env: { NEW_RELIC_API_KEY: 'nr-secret' } });
  const sent = call();
  await v.post('/ingest/logs', lines([sent]));
  await door.until((got) => got.length > 0);
  const [{ path, headers, json: [{ common, logs: [log] }] }] = door;
  assert.equal(path, '/log/v1');
  assert.equal(headers['api-key'], 'nr-secret');
  assert.equal(common.attributes.logtype, 'vitrine');
  assert.ok(Math.abs(log.timestamp - Date.parse(sent.timestamp)) < 1);
  assert.deepEqual([log.message, log.attributes['trace.id'], log.attributes['span.id'], log.attributes['service.name']], [sent.message, sent.trace.traceId, sent.trace.spanId, 'ai-storefront']);
});

test('New Relic: the dashboard has the shape that its import takes', async () => {
  const dashboard = JSON.parse(await read('dashboard.json'));
  const only = (object, required, optional = []) => {
    assert.deepEqual(required.filter((key) => !(key in object)), [], JSON.stringify(object));
    assert.deepEqual(Object.keys(object).filter((key) => ![...required, ...optional].includes(key)), [], 'unknown members');
  };
  only(dashboard, ['name', 'permissions', 'pages'], ['description', 'variables']);
  assert.ok(['PUBLIC_READ_WRITE', 'PUBLIC_READ_ONLY', 'PRIVATE'].includes(dashboard.permissions));
  for (const page of dashboard.pages) {
    only(page, ['name', 'widgets'], ['description']);
    const taken = new Set();
    for (const widget of page.widgets) {
      only(widget, ['title', 'layout', 'visualization', 'rawConfiguration'], ['linkedEntityGuids']);
      only(widget.layout, ['column', 'row', 'width', 'height']);
      only(widget.visualization, ['id']);
      assert.ok(['viz.line', 'viz.area', 'viz.bar', 'viz.billboard', 'viz.pie', 'viz.table', 'viz.stacked-bar', 'viz.histogram', 'viz.heatmap', 'viz.json'].includes(widget.visualization.id));
      only(widget.rawConfiguration, ['nrqlQueries']);
      for (const query of widget.rawConfiguration.nrqlQueries) only(query, ['accountIds', 'query']);
      const { column, row, width, height } = widget.layout;
      assert.ok(column >= 1 && width >= 1 && column + width <= 13 && row >= 1 && height >= 1, `${widget.title} leaves the 12 columns`);
      for (let x = column; x < column + width; x++)
        for (let y = row; y < row + height; y++) assert.ok(!taken.has(`${x},${y}`) && taken.add(`${x},${y}`), `${widget.title} lies over another`);
    }
  }
});
