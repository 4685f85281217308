// The storefront under OpenTelemetry's Node SDK, set up for Honeycomb: the headers are an object in JSON, which it parses itself.
const { NodeSDK } = require('@opentelemetry/sdk-node');
const { OTLPTraceExporter } = require('@opentelemetry/exporter-trace-otlp-proto');
const { trace } = require('@opentelemetry/api');

const headers = JSON.parse(process.env.OTEL_EXPORTER_OTLP_HEADERS);
delete process.env.OTEL_EXPORTER_OTLP_HEADERS; // the SDK would warn of a form that it does not know
const sdk = new NodeSDK({ traceExporter: new OTLPTraceExporter({ headers }) });
sdk.start();

const tracer = trace.getTracer('ai-storefront');
tracer.startActiveSpan('chat.continue_thread', { attributes: { 'chat.thread_id': 'thread-1', 'chat.user_id': 'ada', 'chat.turn_id': 'turn-1' } }, (turn) => {
  tracer.startActiveSpan('openai.chat.completions.create', (call) => {
    call.setAttributes({ 'llm.vendor': 'openai', 'llm.request.model': 'gpt-4o-mini', 'llm.usage.prompt_tokens': 159, 'llm.usage.completion_tokens': 237 });
    call.end();
  });
  turn.end();
});
sdk.shutdown();
