// OpenInference (Arize) on the OpenAI client, sent as OTLP.
import { context, trace } from '@opentelemetry/api';
import { NodeTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { OpenAIInstrumentation } from '@arizeai/openinference-instrumentation-openai';
import { setSession, setUser } from '@arizeai/openinference-core';
import OpenAI from 'openai';

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': process.env.OTEL_SERVICE_NAME }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
const instrumentation = new OpenAIInstrumentation();
instrumentation.setTracerProvider(provider);
instrumentation.manuallyInstrument(OpenAI);

const client = new OpenAI();
await context.with(setUser(setSession(context.active(), { sessionId: 'thread-1' }), { userId: 'ada' }), async () => {
  await client.chat.completions.create({ model: 'gpt-4o', temperature: 0.5, messages: [{ role: 'user', content: 'Which jacket fits rainy weather?' }] });
  const stream = await client.chat.completions.create({
    model: 'gpt-4o-mini', stream: true, stream_options: { include_usage: true }, messages: [{ role: 'user', content: 'A tent for two?' }],
  });
  for await (const _ of stream);
  await client.embeddings.create({ model: 'text-embedding-3-small', input: 'rain jacket' });
});
trace.disable();
await provider.shutdown();
