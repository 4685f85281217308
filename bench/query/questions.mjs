// The eleven questions of bench_query.c in each peer's SQL, in the form that is fastest there of those that were tried.
// {trace}: a trace's id in hex. Texts compare without case, as ours do.
const newest = (start) => `SELECT trace_id, count(*), sum(tokens_input), sum(cost_usd), min(${start}) FROM spans WHERE trace_id IN (SELECT DISTINCT trace_id
  FROM (SELECT trace_id FROM spans WHERE model = 'gpt-4o' AND status = 2 ORDER BY ${start} DESC LIMIT 60) AS latest LIMIT 50) GROUP BY trace_id`;
const thread = `SELECT trace_id, count(*), sum(tokens_input), sum(cost_usd) FROM spans WHERE trace_id IN (SELECT trace_id FROM spans WHERE thread_id = 'thread-1200-27') GROUP BY trace_id`;
const users = 'SELECT user_id, sum(cost_usd) AS c, count(*) FROM spans GROUP BY user_id ORDER BY c DESC LIMIT 20';

// SQLite has no percentiles: ranks by a window.
const sqlitePercentiles = `WITH ranked AS (SELECT model, start_ns / 60000000000 AS minute, duration_ns, row_number() OVER w AS r, count(*) OVER (PARTITION BY model, start_ns / 60000000000) AS n
    FROM spans WHERE kind = 1 WINDOW w AS (PARTITION BY model, start_ns / 60000000000 ORDER BY duration_ns))
  SELECT model, minute, max(CASE WHEN r <= max(1, n * 50 / 100) THEN duration_ns END), max(CASE WHEN r <= max(1, n * 95 / 100) THEN duration_ns END),
    max(CASE WHEN r <= max(1, n * 99 / 100) THEN duration_ns END) FROM ranked GROUP BY 1, 2`;

/** 18.16 knows no skipping indexes, no CTEs, no ILIKE; `start` says its unit in each. */
const clickhouse = {
  percentiles: 'SELECT model, intDiv(start_ns, 60000000000) AS minute, quantiles(0.5, 0.95, 0.99)(duration_ns) FROM spans WHERE kind = 1 GROUP BY model, minute',
  users,
  newest: newest('start_ns'),
  trace: "SELECT * FROM spans WHERE trace_id = unhex('{trace}')",
  thread,
  word: "SELECT count() FROM spans WHERE positionCaseInsensitive(prompt, 'zanzibar') > 0",
  substring: "SELECT count() FROM spans WHERE positionCaseInsensitive(prompt, 'anziba') > 0",
  distinct: 'SELECT intDiv(start_ns, 86400000000000) AS day, uniq(user_id) FROM spans GROUP BY day',
  attribute: "SELECT count() FROM spans WHERE visitParamExtractUInt(attributes, 'http.status_code') = 429",
  'group by attribute': "SELECT visitParamExtractString(attributes, 'experiment') AS e, count(), quantile(0.95)(duration_ns) FROM spans WHERE kind = 1 GROUP BY e",
  errors: 'SELECT service, intDiv(start_ns, 3600000000000) AS hour, count(), avg(status = 2) FROM spans GROUP BY service, hour',
};

export const questions = {
  duckdb: {
    percentiles: 'SELECT model, start_us // 60000000 AS minute, quantile_cont(duration_ns, [0.5, 0.95, 0.99]) FROM spans WHERE kind = 1 GROUP BY ALL',
    users,
    newest: newest('start_us'),
    trace: "SELECT * FROM spans WHERE trace_id = from_hex('{trace}')",
    thread,
    word: "SELECT count(*) FROM spans WHERE prompt ILIKE '%zanzibar%'",
    substring: "SELECT count(*) FROM spans WHERE prompt ILIKE '%anziba%'",
    distinct: 'SELECT start_us // 86400000000, count(DISTINCT user_id) FROM spans GROUP BY 1',
    attribute: `SELECT count(*) FROM spans WHERE json_extract_string(attributes, '$."http.status_code"') = '429'`,
    'group by attribute': `SELECT json_extract_string(attributes, '$.experiment') AS e, count(*), quantile_cont(duration_ns, 0.95) FROM spans WHERE kind = 1 GROUP BY 1`,
    errors: 'SELECT service, start_us // 3600000000, count(*), avg(CASE WHEN status = 2 THEN 1.0 ELSE 0 END) FROM spans GROUP BY ALL',
  },
  sqlite: {
    percentiles: sqlitePercentiles,
    users,
    newest: newest('start_ns'),
    trace: "SELECT * FROM spans WHERE trace_id = x'{trace}'",
    thread,
    word: "SELECT count(*) FROM spans WHERE prompt LIKE '%zanzibar%'",
    substring: "SELECT count(*) FROM spans WHERE prompt LIKE '%anziba%'",
    distinct: 'SELECT start_ns / 86400000000000, count(DISTINCT user_id) FROM spans GROUP BY 1',
    attribute: `SELECT count(*) FROM spans WHERE json_extract(attributes, '$."http.status_code"') = 429`,
    'group by attribute': `SELECT json_extract(attributes, '$.experiment') AS e, count(*) FROM spans WHERE kind = 1 GROUP BY 1`, // without p95: SQLite has none
    errors: 'SELECT service, start_ns / 3600000000000, count(*), avg(CASE WHEN status = 2 THEN 1.0 ELSE 0 END) FROM spans GROUP BY 1, 2',
  },
  clickhouse,
  // Present-day ClickHouse, a table of its own: JSON column for attributes, text index for words, Bloom filters for ids.
  'chdb-table': {
    ...clickhouse,
    percentiles: 'SELECT model, toStartOfMinute(start_ns) AS minute, quantiles(0.5, 0.95, 0.99)(duration_ns) FROM spans WHERE kind = 1 GROUP BY model, minute',
    word: "SELECT count() FROM spans WHERE hasToken(prompt, 'zanzibar')",
    substring: "SELECT count() FROM spans WHERE prompt ILIKE '%anziba%'",
    distinct: 'SELECT toDate(start_ns) AS day, uniq(user_id) FROM spans GROUP BY day',
    attribute: 'SELECT count() FROM spans WHERE attributes.http.status_code.:Int64 = 429',
    'group by attribute': 'SELECT attributes.experiment.:String AS e, count(), quantile(0.95)(duration_ns) FROM spans WHERE kind = 1 GROUP BY e',
    errors: 'SELECT service, toStartOfHour(start_ns) AS hour, count(), avg(status = 2) FROM spans GROUP BY service, hour',
  },
};
// The same program on our Parquet files as they lie.
questions['chdb-parquet'] = Object.fromEntries(Object.entries({
  ...questions['chdb-table'],
  word: "SELECT count() FROM spans WHERE hasToken(lower(prompt), 'zanzibar')",
  attribute: "SELECT count() FROM spans WHERE simpleJSONExtractInt(attributes, 'http.status_code') = 429",
  'group by attribute': "SELECT simpleJSONExtractString(attributes, 'experiment') AS e, count(), quantile(0.95)(duration_ns) FROM spans WHERE kind = 1 GROUP BY e",
}).map(([name, sql]) => [name, sql.replaceAll('FROM spans', 'FROM {files}')]));

/** As bench_query.c prints them. */
export const titles = {
  percentiles: 'p50/p95/p99 by model and minute',
  users: 'top 20 users by cost',
  newest: 'newest 50 with model and status',
  trace: 'trace by id',
  thread: "one thread's turns",
  word: 'a word in prompts',
  substring: 'a substring in prompts',
  distinct: 'distinct users by day',
  attribute: 'an attribute',
  'group by attribute': 'group by an attribute',
  errors: 'errors by service and hour',
};

export const columns = `trace_id FixedString(16), span_id FixedString(8), parent_span_id FixedString(8), start_ns {start}, duration_ns Int64, ttft_ns Nullable(Int64),
  tokens_input Nullable(Int64), tokens_output Nullable(Int64), tokens_cached Nullable(Int64), tokens_cache_write Nullable(Int64), tokens_reasoning Nullable(Int64),
  cost_usd Nullable(Float64), temperature Nullable(Float64), sample_rate Nullable(Float64), kind UInt8, status UInt8, flags UInt8,
  project LowCardinality(String), service LowCardinality(String), operation LowCardinality(String), provider LowCardinality(String), model LowCardinality(String),
  finish_reason LowCardinality(String), user_id LowCardinality(String), thread_id String, turn_id String, error String, prompt String{zstd}, completion String{zstd},
  attributes {json}{zstd}, events String, resource LowCardinality(String)`;

if (process.argv[2] === 'json') console.log(JSON.stringify({ titles, questions: questions[process.argv[3]], columns }));
