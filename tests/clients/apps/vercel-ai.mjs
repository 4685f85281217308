// The Vercel AI SDK with its own telemetry: a wrapper span around each call to the model, both with usage.
import { NodeTracerProvider, BatchSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { createOpenAI } from '@ai-sdk/openai';
import { generateText, streamText, tool, stepCountIs } from 'ai';
import { z } from 'zod';

const provider = new NodeTracerProvider({
  resource: resourceFromAttributes({ 'service.name': process.env.OTEL_SERVICE_NAME }),
  spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
});
provider.register();
const openai = createOpenAI({ baseURL: process.env.OPENAI_BASE_URL, apiKey: process.env.OPENAI_API_KEY });
const experimental_telemetry = { isEnabled: true, functionId: 'shop', metadata: { userId: 'ada', sessionId: 'thread-1' } };

await generateText({ model: openai.chat('gpt-4o'), temperature: 0.5, prompt: 'Which jacket fits rainy weather?', experimental_telemetry });
const result = streamText({ model: openai.chat('gpt-4o-mini'), prompt: 'A tent for two?', experimental_telemetry });
for await (const _ of result.textStream);
await generateText({
  model: openai.chat('gpt-4o'), prompt: 'Is the Alpine Shell in stock in M?', stopWhen: stepCountIs(3), experimental_telemetry,
  tools: {
    check_stock: tool({
      description: 'How many are in stock', inputSchema: z.object({ sku: z.string(), size: z.string().optional() }),
      execute: async ({ sku, size }) => ({ sku, name: 'Alpine Shell', size, in_stock: 7 }),
    }),
  },
});
await provider.shutdown();
