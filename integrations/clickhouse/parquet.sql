-- Loads one of Vitrine's Parquet files, an export or a segment as it lies in the data directory (ClickHouse since 22):
--
--     vitrine export --format parquet -o spans.parquet
--     clickhouse-client --queries-file parquet.sql < spans.parquet
INSERT INTO vitrine.spans (trace_id, span_id, parent_span_id, start_ns, duration_ns, ttft_ns, tokens_input, tokens_output, tokens_cached,
    tokens_cache_write, tokens_reasoning, cost_usd, temperature, sample_rate, kind, status, flags, project, service, operation, provider,
    model, finish_reason, user_id, thread_id, turn_id, error, prompt, completion, attributes, events, resource)
SELECT lower(hex(trace_id)), lower(hex(span_id)), ifNull(lower(hex(parent_span_id)), ''), toUnixTimestamp64Nano(start_ns), duration_ns, ttft_ns,
    tokens_input, tokens_output, tokens_cached, tokens_cache_write, tokens_reasoning, cost_usd, temperature, sample_rate, kind, status, flags,
    ifNull(project, ''), ifNull(service, ''), ifNull(operation, ''), ifNull(provider, ''), ifNull(model, ''), ifNull(finish_reason, ''),
    ifNull(user_id, ''), ifNull(thread_id, ''), ifNull(turn_id, ''), ifNull(error, ''), ifNull(prompt, ''), ifNull(completion, ''),
    ifNull(attributes, ''), ifNull(events, ''), ifNull(resource, '')
FROM input('trace_id FixedString(16), span_id FixedString(8), parent_span_id Nullable(FixedString(8)), start_ns DateTime64(9, \'UTC\'),
    duration_ns Int64, ttft_ns Nullable(Int64), tokens_input Nullable(Int64), tokens_output Nullable(Int64), tokens_cached Nullable(Int64),
    tokens_cache_write Nullable(Int64), tokens_reasoning Nullable(Int64), cost_usd Nullable(Float64), temperature Nullable(Float64),
    sample_rate Nullable(Float64), kind Int8, status Int8, flags UInt8, project Nullable(String), service Nullable(String),
    operation Nullable(String), provider Nullable(String), model Nullable(String), finish_reason Nullable(String), user_id Nullable(String),
    thread_id Nullable(String), turn_id Nullable(String), error Nullable(String), prompt Nullable(String), completion Nullable(String),
    attributes Nullable(String), events Nullable(String), resource Nullable(String)')
FORMAT Parquet
