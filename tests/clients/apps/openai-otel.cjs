// The OpenAI client under OpenTelemetry's own Node SDK and instrumentation, configured by the environment alone.
const { NodeSDK } = require('@opentelemetry/sdk-node');
const { OpenAIInstrumentation } = require('@opentelemetry/instrumentation-openai');
const { trace } = require('@opentelemetry/api');

const sdk = new NodeSDK({ instrumentations: [new OpenAIInstrumentation({ captureMessageContent: true })] });
sdk.start();
const { OpenAI } = require('openai');

async function main() {
  const client = new OpenAI();
  await trace.getTracer('shop').startActiveSpan('chat.continue_thread', async (turn) => {
    turn.setAttributes({ 'user.id': 'ada', 'gen_ai.conversation.id': 'thread-1', 'chat.turn_id': 'turn-1' });
    await client.chat.completions.create({ model: 'gpt-4o', temperature: 0.5, messages: [{ role: 'user', content: 'Which jacket fits rainy weather?' }] });
    const stream = await client.chat.completions.create({
      model: 'gpt-4o-mini', stream: true, stream_options: { include_usage: true }, messages: [{ role: 'user', content: 'A tent for two?' }],
    });
    for await (const _ of stream);
    turn.end();
  });
}
main().finally(() => sdk.shutdown());
