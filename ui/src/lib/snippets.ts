// How to send the first trace, with the address of this very server.

export type SnippetName = 'curl' | 'c' | 'typescript' | 'python' | 'convex' | 'proxy' | 'logs'
export interface Snippet { title: string; text: string }

/* `upstreams` are the providers that the server stands in front of. */
export function snippets(origin: string, key: string, upstreams: string[]): Record<SnippetName, Snippet[]> {
  const header = key ? ` \\\n  -H 'authorization: Bearer ${key}'` : ''
  const env = key ? `\nexport OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20${encodeURIComponent(key)}"` : ''
  const sdk = `export OTEL_SERVICE_NAME=my-shop
export OTEL_EXPORTER_OTLP_ENDPOINT=${origin}${env}
export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf`
  const own = key ? ` -H 'x-vitrine-key: ${key}'` : '' // the other headers of a call are the provider's
  const upstream = upstreams.includes('openai') ? 'openai' : upstreams[0] ?? 'openai'
  return {
    curl: [{ title: 'One chat call, as OTLP JSON', text: `now=$(date +%s)
curl ${origin}/v1/traces -H 'content-type: application/json'${header} -d '{
  "resourceSpans": [{
    "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "my-shop"}}]},
    "scopeSpans": [{"spans": [{
      "traceId": "'$(od -An -N16 -tx1 /dev/urandom | tr -d ' \\n')'",
      "spanId": "'$(od -An -N8 -tx1 /dev/urandom | tr -d ' \\n')'",
      "name": "chat gpt-4o-mini", "kind": 3,
      "startTimeUnixNano": "'$((now-2))'000000000", "endTimeUnixNano": "'$now'000000000",
      "attributes": [
        {"key": "gen_ai.system", "value": {"stringValue": "openai"}},
        {"key": "gen_ai.request.model", "value": {"stringValue": "gpt-4o-mini"}},
        {"key": "gen_ai.usage.input_tokens", "value": {"intValue": "120"}},
        {"key": "gen_ai.usage.output_tokens", "value": {"intValue": "48"}},
        {"key": "gen_ai.prompt.0.role", "value": {"stringValue": "user"}},
        {"key": "gen_ai.prompt.0.content", "value": {"stringValue": "Which jacket is good in the rain?"}},
        {"key": "gen_ai.completion.0.role", "value": {"stringValue": "assistant"}},
        {"key": "gen_ai.completion.0.content", "value": {"stringValue": "The **Fjord shell**: it keeps 20,000 mm of water out."}},
        {"key": "user.id", "value": {"stringValue": "me"}}
      ],
      "status": {"code": 1}
    }]}]
  }]
}'` }],
    c: [{ title: 'app.c', text: `#include <vitrine.h>

int main(void) {
    vt_init(NULL); /* reads the environment */

    const vt_llm_call call = {
        .provider = "openai", .model = "gpt-4o-mini", .temperature = 0.7,
        .prompt = "Which jacket is good in the rain?", .user_id = "me",
    };
    vt_span *span = vt_llm_start("chat.completions.create", &call);
    vt_llm_response(span, "The Fjord shell.", "stop");
    vt_llm_usage(span, &(vt_usage){.prompt_tokens = 120, .completion_tokens = 48});
    vt_span_end(span);

    vt_shutdown();
}` }, { title: 'Build it, and send what it writes', text: `cc app.c $(pkg-config --cflags --libs vitrine) -o app
./app | vitrine import - --url ${origin}` }],
    typescript: [{ title: 'Any OpenTelemetry SDK, by its environment', text: sdk }, { title: 'Node', text: `npm install @opentelemetry/sdk-node @traceloop/instrumentation-openai openai` }, { title: 'tracing.ts', text: `import { NodeSDK } from '@opentelemetry/sdk-node'
import { OpenAIInstrumentation } from '@traceloop/instrumentation-openai'

new NodeSDK({ instrumentations: [new OpenAIInstrumentation()] }).start()` }, { title: 'Vercel AI SDK', text: `await generateText({
  model: openai('gpt-4o-mini'),
  prompt: 'Which jacket is good in the rain?',
  experimental_telemetry: { isEnabled: true, metadata: { userId: 'me', threadId: 'thread-1' } },
})` }],
    python: [{ title: 'Environment', text: `pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http
${sdk}` }, { title: 'A call by hand', text: `from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)

with trace.get_tracer("shop").start_as_current_span("chat gpt-4o-mini") as span:
    span.set_attributes({
        "gen_ai.operation.name": "chat", "gen_ai.system": "openai", "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.usage.input_tokens": 120, "gen_ai.usage.output_tokens": 48, "user.id": "me",
    })
provider.shutdown()` }, { title: 'Or every call of the OpenAI library', text: `pip install opentelemetry-instrumentation-openai-v2 openai

from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
OpenAIInstrumentor().instrument()` }],
    convex: [{ title: 'Dashboard → Settings → Integrations → Log streams → Webhook', text: `URL     ${origin}/ingest/convex
Format  JSONL` }, { title: 'Check the signature, so that nobody else can send', text: `vitrine serve --convex-secret "$CONVEX_LOG_SECRET"` }],
    proxy: [{ title: 'Change one line of the application', text: upstream === 'anthropic' ? `export ANTHROPIC_BASE_URL=${origin}/proxy/anthropic` : `export OPENAI_BASE_URL=${origin}/proxy/${upstream}/v1` },
      { title: 'Or try it at once', text: upstream === 'anthropic' ? `curl ${origin}/proxy/anthropic/v1/messages \\
  -H "x-api-key: $ANTHROPIC_API_KEY" -H 'anthropic-version: 2023-06-01' -H 'content-type: application/json' \\
  -H 'x-vitrine-user: me' -H 'x-vitrine-thread: thread-1'${own} \\
  -d '{"model": "claude-sonnet-4-5", "max_tokens": 200, "messages": [{"role": "user", "content": "Which jacket is good in the rain?"}]}'` : `curl ${origin}/proxy/${upstream}/v1/chat/completions \\
  -H "authorization: Bearer $OPENAI_API_KEY" -H 'content-type: application/json' \\
  -H 'x-vitrine-user: me' -H 'x-vitrine-thread: thread-1'${own} \\
  -d '{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Which jacket is good in the rain?"}]}'` }],
    logs: [{ title: 'What the storefront logs today, also from a console with other lines between', text: `my-app 2>&1 | vitrine import - --url ${origin}` }, { title: 'Or by HTTP', text: `curl ${origin}/ingest/logs${header} --data-binary @traces.jsonl` }],
  }
}
