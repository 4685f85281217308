-- Views over the loaded log lines; ai_storefront_traces is the table of schema.json.
CREATE OR REPLACE VIEW llm_calls AS
SELECT
  timestamp,
  trace.traceId AS trace_id,
  trace.operation AS operation,
  CAST(REGEXP_EXTRACT(trace.duration, r'(\d+)ms') AS INT64) AS duration_ms,
  trace.status AS status,
  JSON_EXTRACT_SCALAR(attributes, "$['llm.vendor']") AS provider,
  JSON_EXTRACT_SCALAR(attributes, "$['llm.request.model']") AS model,
  CAST(JSON_EXTRACT_SCALAR(attributes, "$['llm.usage.total_tokens']") AS INT64) AS total_tokens,
  JSON_EXTRACT_SCALAR(attributes, "$['user.id']") AS user_id,
  JSON_EXTRACT_SCALAR(attributes, "$['thread.id']") AS thread_id
FROM ai_storefront_traces
WHERE JSON_EXTRACT_SCALAR(attributes, "$['llm.request.model']") IS NOT NULL;

CREATE OR REPLACE VIEW chat_turns AS
SELECT
  timestamp,
  trace.traceId AS trace_id,
  trace.operation AS operation,
  CAST(REGEXP_EXTRACT(trace.duration, r'(\d+)ms') AS INT64) AS duration_ms,
  trace.status AS status,
  JSON_EXTRACT_SCALAR(attributes, "$['chat.thread_id']") AS thread_id,
  JSON_EXTRACT_SCALAR(attributes, "$['chat.user_id']") AS user_id
FROM ai_storefront_traces
WHERE STARTS_WITH(trace.operation, 'chat.');
