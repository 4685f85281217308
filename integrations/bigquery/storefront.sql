-- The storefront's own question: how one operation does by provider. Runs as it stands over what load.sh loads, and in `vitrine sql`.
SELECT
  JSON_EXTRACT_SCALAR(attributes, '$.llm.vendor') AS vendor,
  COUNT(*) AS calls,
  AVG(CAST(REGEXP_EXTRACT(trace.duration, r'(\d+)ms') AS INT64)) AS avg_duration_ms
FROM ai_storefront_traces
WHERE trace.operation = 'openai.chat.completions.create'
GROUP BY vendor
