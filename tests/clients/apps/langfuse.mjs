// Langfuse's SDK, pointed at Vitrine by its base URL alone.
import { NodeTracerProvider } from '@opentelemetry/sdk-trace-node';
import { LangfuseSpanProcessor } from '@langfuse/otel';
import { startActiveObservation, propagateAttributes } from '@langfuse/tracing';
import OpenAI from 'openai';

const provider = new NodeTracerProvider({ spanProcessors: [new LangfuseSpanProcessor()] });
provider.register();

const client = new OpenAI();
await startActiveObservation('chat.continue_thread', async (turn) => {
  await propagateAttributes({ userId: 'ada', sessionId: 'thread-1' }, async () => {
    turn.update({ input: 'Which jacket fits rainy weather?' });
    await startActiveObservation('answer', async (generation) => {
      const messages = [{ role: 'user', content: 'Which jacket fits rainy weather?' }];
      const answer = await client.chat.completions.create({ model: 'gpt-4o', temperature: 0.5, messages });
      generation.update({
        model: 'gpt-4o', modelParameters: { temperature: 0.5 }, input: messages, output: answer.choices[0].message,
        usageDetails: { input: answer.usage.prompt_tokens, output: answer.usage.completion_tokens, total: answer.usage.total_tokens },
      });
    }, { asType: 'generation' });
  });
});
await provider.forceFlush();
await provider.shutdown();
