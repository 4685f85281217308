-- Vitrine's spans and scores in ClickHouse. The columns are those of Vitrine's Parquet files (docs/store.md), with the same names; ids are
-- hex, as everywhere in Vitrine's answers.
--
--     clickhouse-client --multiquery < schema.sql
--     sed 's/LowCardinality(String)/String/' schema.sql | clickhouse-client --multiquery      18.16, which is in Debian 12
--
-- What is loaded twice is kept once, as soon as ClickHouse has merged the parts (SELECT … FINAL does not wait for that).

CREATE DATABASE IF NOT EXISTS vitrine;

CREATE TABLE IF NOT EXISTS vitrine.spans (
    trace_id String,
    span_id String,
    parent_span_id String,
    start_ns Int64,
    duration_ns Int64,
    ttft_ns Nullable(Int64),
    tokens_input Nullable(Int64),
    tokens_output Nullable(Int64),
    tokens_cached Nullable(Int64),
    tokens_cache_write Nullable(Int64),
    tokens_reasoning Nullable(Int64),
    cost_usd Nullable(Float64),
    temperature Nullable(Float64),
    sample_rate Nullable(Float64),
    kind Enum8('other' = 0, 'llm' = 1, 'turn' = 2, 'tool' = 3, 'retrieval' = 4, 'embedding' = 5, 'agent' = 6, 'chain' = 7),
    status Enum8('UNSET' = 0, 'OK' = 1, 'ERROR' = 2),
    flags UInt8,
    project LowCardinality(String),
    service LowCardinality(String),
    operation LowCardinality(String),
    provider LowCardinality(String),
    model LowCardinality(String),
    finish_reason LowCardinality(String),
    user_id String,
    thread_id String,
    turn_id String,
    error String,
    prompt String,
    completion String,
    attributes String,
    events String,
    resource LowCardinality(String),
    -- Derived: the time in a form that Grafana filters by; how many spans a sampled one stands for; 0 where a span only repeats the usage of
    -- the calls below it, which sums leave out.
    started DateTime('UTC') DEFAULT toDateTime(intDiv(start_ns, 1000000000), 'UTC'),
    weight Float64 DEFAULT if(ifNull(sample_rate, 1) > 0, 1 / ifNull(sample_rate, 1), 1),
    counts UInt8 DEFAULT bitAnd(flags, 8) = 0
) ENGINE = ReplacingMergeTree()
PARTITION BY toYYYYMM(started)
ORDER BY (service, started, trace_id, span_id);

CREATE TABLE IF NOT EXISTS vitrine.scores (
    score_id String,
    trace_id String,
    span_id String,
    name LowCardinality(String),
    value Float64,
    comment String,
    user_id String,
    time_ms Int64,
    time DateTime('UTC') DEFAULT toDateTime(intDiv(time_ms, 1000), 'UTC')
) ENGINE = ReplacingMergeTree()
PARTITION BY toYYYYMM(time)
ORDER BY (name, time, score_id);

-- The door for `vitrine export --format csv`: nothing is kept here, what comes in goes on to vitrine.spans with its types.
CREATE TABLE IF NOT EXISTS vitrine.spans_csv (
    trace_id String, span_id String, parent_span_id String, start String, duration_ms String, operation String, kind String, status String,
    error String, service String, project String, provider String, model String, tokens_input String, tokens_output String,
    tokens_cached String, tokens_cache_write String, tokens_reasoning String, cost_usd String, temperature String, ttft_ms String,
    finish_reason String, sample_rate String, user_id String, thread_id String, turn_id String, prompt String, completion String,
    attributes String, events String, resource String, flags String
) ENGINE = Null;

CREATE MATERIALIZED VIEW IF NOT EXISTS vitrine.spans_from_csv TO vitrine.spans AS
SELECT
    trace_id, span_id, parent_span_id,
    toInt64(toDateTime(concat(substring(start, 1, 10), ' ', substring(start, 12, 8)), 'UTC')) * 1000000000
        + toInt64(substring(concat(substring(start, 21, length(start) - 21), '000'), 1, 9)) AS start_ns,
    toInt64(round(toFloat64(duration_ms) * 1000000)) AS duration_ns,
    toInt64(round(toFloat64OrNull(ttft_ms) * 1000000)) AS ttft_ns,
    toInt64OrNull(tokens_input) AS tokens_input,
    toInt64OrNull(tokens_output) AS tokens_output,
    toInt64OrNull(tokens_cached) AS tokens_cached,
    toInt64OrNull(tokens_cache_write) AS tokens_cache_write,
    toInt64OrNull(tokens_reasoning) AS tokens_reasoning,
    toFloat64OrNull(cost_usd) AS cost_usd,
    toFloat64OrNull(temperature) AS temperature,
    toFloat64OrNull(sample_rate) AS sample_rate,
    CAST(kind, 'Enum8(\'other\' = 0, \'llm\' = 1, \'turn\' = 2, \'tool\' = 3, \'retrieval\' = 4, \'embedding\' = 5, \'agent\' = 6, \'chain\' = 7)') AS kind,
    CAST(status, 'Enum8(\'UNSET\' = 0, \'OK\' = 1, \'ERROR\' = 2)') AS status,
    toUInt8(flags) AS flags,
    project, service, operation, provider, model, finish_reason, user_id, thread_id, turn_id, error, prompt, completion, attributes, events, resource,
    -- 18.16 fills no defaults behind a view
    toDateTime(concat(substring(start, 1, 10), ' ', substring(start, 12, 8)), 'UTC') AS started,
    if(ifNull(sample_rate, 1) > 0, 1 / ifNull(sample_rate, 1), 1) AS weight,
    bitAnd(flags, 8) = 0 AS counts
FROM vitrine.spans_csv;
