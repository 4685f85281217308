// OpenLLMetry (Traceloop) on the OpenAI client, sent as OTLP.
import { trace } from '@opentelemetry/api';
import { NodeTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { OpenAIInstrumentation } from '@traceloop/instrumentation-openai';
import OpenAI from 'openai';

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': process.env.OTEL_SERVICE_NAME }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
const instrumentation = new OpenAIInstrumentation({ traceContent: true, enrichTokens: true });
instrumentation.setTracerProvider(provider);
instrumentation.manuallyInstrument(OpenAI);

const client = new OpenAI();
await trace.getTracer('@traceloop/node-server-sdk').startActiveSpan('shop.workflow', async (workflow) => {
  workflow.setAttributes({
    'traceloop.span.kind': 'workflow',
    'traceloop.association.properties.user_id': 'ada',
    'traceloop.association.properties.session_id': 'thread-1',
  });
  await client.chat.completions.create({ model: 'gpt-4o', temperature: 0.5, messages: [{ role: 'user', content: 'Which jacket fits rainy weather?' }] });
  const stream = await client.chat.completions.create({
    model: 'gpt-4o-mini', stream: true, stream_options: { include_usage: true }, messages: [{ role: 'user', content: 'A tent for two?' }],
  });
  for await (const _ of stream);
  workflow.end();
});
await provider.shutdown();
