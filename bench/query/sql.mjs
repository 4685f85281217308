// Times statements of SQL on a running program, and the same question by /query where it can be asked there:
//
//     bench_query fill DIR 1000000; vitrine serve --data DIR &
//     node bench/query/sql.mjs [http://127.0.0.1:4318]
//
// The middle of five, after one that warms up; "first" and "again" of /query are the first and the middle of the rest.
const base = process.argv[2] ?? 'http://127.0.0.1:4318';
const range = { from: '2026-11-23', to: '2026-11-24' };

const questions = [
  ['count(*)', 'SELECT count(*) FROM spans'],
  ['model, count(*) by model', 'SELECT model, count(*) FROM spans GROUP BY model', { select: ['count'], group_by: ['model'] }],
  ['calls, p95, cost by model, LLM calls only',
    "SELECT model, count(*), p95(duration_ms), sum(cost_usd) FROM spans WHERE kind = 'llm' GROUP BY model ORDER BY 2 DESC",
    { where: 'kind:llm', select: ['count', 'p95(duration_ms)', 'sum(cost_usd)'], group_by: ['model'] }],
  ['count and mean by hour', "SELECT time_bucket('1h', start_ms) AS at, count(*), avg(duration_ms) FROM spans GROUP BY at ORDER BY at",
    { select: ['count', 'avg(duration_ms)'], interval: '1h' }],
  ['error rate by service and hour',
    "SELECT service, time_bucket('1h', start_ms) AS at, avg(status = 'ERROR') FROM spans GROUP BY 1, 2",
    { select: ['error_rate'], group_by: ['service'], interval: '1h' }],
  ['top 20 users by cost', 'SELECT user_id, sum(cost_usd) AS usd FROM spans GROUP BY user_id ORDER BY usd DESC LIMIT 20',
    { select: ['sum(cost_usd)'], group_by: ['user_id'], limit: 20 }],
  ['distinct users', 'SELECT count(DISTINCT user_id) FROM spans', { select: ['distinct(user_id)'] }],
  ['newest 50, all columns', 'SELECT * FROM spans ORDER BY start_ms DESC LIMIT 50'],
  ['20 slowest spans', 'SELECT trace_id, operation, duration_ms FROM spans ORDER BY duration_ms DESC LIMIT 20'],
  ["the storefront's query for BigQuery, as written",
    `SELECT JSON_EXTRACT_SCALAR(attributes, '$.llm.vendor') AS vendor, JSON_EXTRACT_SCALAR(attributes, '$.llm.request.model') AS model,
       AVG(CAST(REGEXP_EXTRACT(trace.duration, r'(\\d+)ms') AS INT64)) AS avg_ms, COUNT(*) AS calls
     FROM \`my-project.logs.ai_storefront_traces\` WHERE trace.operation = 'openai.chat.completions.create' GROUP BY vendor, model`],
];

async function ask(path, body) {
  const start = performance.now();
  const answer = await fetch(base + path, { method: 'POST', body: JSON.stringify(body) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(text);
  return performance.now() - start;
}
const middle = (times) => times.sort((a, b) => a - b)[times.length >> 1];
async function times(path, body, count) {
  const all = [];
  while (all.length < count) all.push(await ask(path, body));
  return all;
}
const shown = (ms) => (ms === undefined ? '' : ms < 10 ? ms.toFixed(1) : String(Math.round(ms)));

console.log('| ms | SQL | `/query`, first | again |\n| --- | ---: | ---: | ---: |');
for (const [name, sql, query] of questions) {
  await ask('/api/v1/sql', { sql });
  const direct = middle(await times('/api/v1/sql', { sql }, 5));
  let first, again;
  if (query) [first, ...again] = await times('/api/v1/query', { ...range, ...query }, 6);
  console.log(`| ${name} | ${shown(direct)} | ${shown(first)} | ${shown(query && middle(again))} |`);
}
