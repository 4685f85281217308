"""The OpenAI client in Python: openai_app.py openllmetry (instrumented by OpenLLMetry) or otel (spans by hand, as the GenAI conventions say)."""
import json
import sys

from openai import OpenAI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

BY_HAND = sys.argv[1] == "otel"
provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
if not BY_HAND:
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    OpenAIInstrumentor().instrument()
tracer = trace.get_tracer("shop")
client = OpenAI()


def ask(model, question, **more):
    messages = [{"role": "user", "content": question}]
    if not BY_HAND:
        answer = client.chat.completions.create(model=model, messages=messages, **more)
        return list(answer) if more.get("stream") else answer
    with tracer.start_as_current_span(f"chat {model}", kind=trace.SpanKind.CLIENT) as span:
        more.pop("stream", None), more.pop("stream_options", None)
        answer = client.chat.completions.create(model=model, messages=messages, **more)
        said = answer.choices[0]
        span.set_attributes(
            {
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": model,
                "gen_ai.response.model": answer.model,
                "gen_ai.usage.input_tokens": answer.usage.prompt_tokens,
                "gen_ai.usage.output_tokens": answer.usage.completion_tokens,
                "gen_ai.response.finish_reasons": [said.finish_reason],
                "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": question}]}]),
                "gen_ai.output.messages": json.dumps(
                    [{"role": "assistant", "parts": [{"type": "text", "content": said.message.content}], "finish_reason": said.finish_reason}]
                ),
            }
        )


with tracer.start_as_current_span("chat.continue_thread") as turn:
    turn.set_attributes({"user.id": "ada", "gen_ai.conversation.id": "thread-1", "chat.turn_id": "turn-1"})
    ask("gpt-4o", "Which jacket fits rainy weather?", temperature=0.5)
    ask("gpt-4o-mini", "A tent for two?", stream=True, stream_options={"include_usage": True})
provider.shutdown()
