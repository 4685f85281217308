// A Convex app as the storefront is one: an action that streams from OpenAI, asks again with another model when that fails,
// and has a mutation of its own keep what was said.
import { actionGeneric, internalMutationGeneric, makeFunctionReference } from "convex/server";
import { v } from "convex/values";
import OpenAI from "openai";
import { configureTracing, traceChatTurn, traceLLMCall, traceSpan } from "./vitrine";

configureTracing({ serviceVersion: "1.0.0", redact: (text) => text.replace(/\d{4} \d{4}/g, "[card]") });

type Message = { role: "user" | "assistant"; content: string };

const client = (baseURL: string) => new OpenAI({ baseURL, apiKey: "sk-test", maxRetries: 0, dangerouslyAllowBrowser: true });
const saveReference = makeFunctionReference<"mutation", { text: string; traceparent: string }, null>("chat:save");

async function streamed(openai: OpenAI, model: string, messages: Message[], parent: Parameters<typeof traceLLMCall>[1]["parent"]): Promise<string> {
  return traceLLMCall("openai.chat.completions.create", { vendor: "openai", model, temperature: 0.5, maxTokens: 500, prompt: messages, parent }, async (span) => {
    const chunks = await openai.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
    let text = "";
    for await (const chunk of span.stream(chunks)) text += chunk.choices[0]?.delta.content ?? "";
    return text;
  });
}

export const say = actionGeneric({
  args: { threadId: v.string(), userId: v.string(), turnId: v.string(), text: v.string(), llm: v.string(), broken: v.boolean() },
  handler: async (ctx, { threadId, userId, turnId, text, llm, broken }): Promise<string> =>
    traceChatTurn("continue_thread", { threadId, userId, turnId, messageCount: 1 }, async (turn) => {
      const messages: Message[] = [{ role: "user", content: text }];
      await traceSpan("catalogue.search", { parent: turn, attributes: { "search.query": text, "search.results": 2, "search.hint": null } }, () => ["jacket", "boots"]);
      const said = await streamed(client(broken ? `${llm}/nowhere` : llm), "gpt-4o", messages, turn).catch(() =>
        traceLLMCall("openai.chat.completions.create", { vendor: "openai", model: "gpt-4o-mini", prompt: messages, parent: turn }, () =>
          client(llm).chat.completions.create({ model: "gpt-4o-mini", messages })).then((answer) => answer.choices[0]?.message.content ?? ""));
      await ctx.runMutation(saveReference, { text: said, traceparent: turn.traceparent });
      return said;
    }),
});

/** Two calls at the same time under one turn, which a global stack of spans would get wrong; and one that is given up early. */
export const compare = actionGeneric({
  args: { llm: v.string() },
  handler: async (_ctx, { llm }): Promise<string[]> =>
    traceChatTurn("compare", { threadId: "thread-2" }, async (turn) => {
      const messages: Message[] = [{ role: "user", content: "A tent for two?" }];
      const both = ["gpt-4o", "gpt-4o-mini"].map((model) => traceSpan(`ask ${model}`, { parent: turn }, (span) => streamed(client(llm), model, messages, span)));
      const first = traceLLMCall("openai.chat.completions.create", { vendor: "openai", model: "gpt-4.1-mini", parent: turn }, async (span) => {
        const chunks = await client(llm).chat.completions.create({ model: "gpt-4.1-mini", messages, stream: true });
        for await (const chunk of span.stream(chunks)) if (chunk.choices[0]?.delta.content) return chunk.choices[0].delta.content;
        return "";
      });
      return Promise.all([...both, first]);
    }),
});

export const save = internalMutationGeneric({
  args: { text: v.string(), traceparent: v.string() },
  handler: async (_ctx, { text, traceparent }): Promise<null> => traceSpan("messages.save", { parent: traceparent, attributes: { "text.length": text.length } }, () => null),
});

/** What no model answers well: shapes, sizes and texts that must not cost a line. */
export const odd = actionGeneric({
  args: {},
  handler: async () => {
    configureTracing({ capture: "full" });
    const text = `It's a "jacket" \\ 1234 5678 🧥`.repeat(2000);
    await traceLLMCall("anthropic.messages.create", { vendor: "anthropic", model: "claude-sonnet-4", temperature: 0, prompt: text, userId: "u-9" }, () => ({
      content: [{ type: "text", text: "Take the " }, { type: "text", text: "Alpine Shell." }], stop_reason: "end_turn", usage: { input_tokens: 20, output_tokens: 6, cache_read_input_tokens: 100 },
    }));
    configureTracing({ capture: "none" });
    await traceLLMCall("openai.responses.create", { vendor: "openai", model: "gpt-4o", prompt: "secret" }, (span) => {
      const round: Record<string, unknown> = {};
      round.self = round;
      span.set({ nothing: Number.NaN, bad: "" }).prompt(round).response("secret too", "stop").usage({ promptTokens: 3, completionTokens: 2, reasoningTokens: 1 });
      return round;
    });
    await traceLLMCall("openai.embeddings.create", { vendor: "openai", model: "gpt-4o" }, () => Promise.reject(new TypeError("card 1234 5678 refused"))).catch(() => null);
    return null;
  },
});
