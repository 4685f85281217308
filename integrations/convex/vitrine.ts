// Traces LLM calls and chat turns of a Convex app: each finished span is one line by console.log, which Convex's log
// stream carries to Vitrine. Copy this file into your convex/ folder; it needs no package, and neither Node nor "use node".
//
//   import { traceChatTurn, traceLLMCall } from "./vitrine";
//
//   await traceChatTurn("continue_thread", { threadId, userId, turnId }, (turn) =>
//     traceLLMCall("openai.chat.completions.create", { vendor: "openai", model, prompt: messages, parent: turn }, () =>
//       openai.chat.completions.create({ model, messages })));
//
// What the function returns is returned, what it throws is thrown; tracing itself never throws. There is no "current
// span": Convex's runtime has no way to tell which of two calls under way is asking, so a child is given its `parent`.
// Inside of queries and mutations Convex stops the clock: spans there last 0 ms. Trace LLM calls where they belong, in actions.

export type Attributes = Record<string, string | number | boolean | null | undefined>;

/** A span, or what `traceparent` of one said, so that a trace goes on in a function called by ctx.runAction and others. */
export type Parent = Span | string | null | undefined;

export interface SpanOptions {
  parent?: Parent;
  attributes?: Attributes;
}

export interface LLMCall extends SpanOptions {
  vendor?: string; // "openai", "anthropic", …
  model?: string;
  temperature?: number;
  maxTokens?: number;
  prompt?: unknown; // text, or the list of messages
  userId?: string; // without it, that of the turn
  threadId?: string;
}

export interface ChatTurn extends SpanOptions {
  threadId?: string;
  userId?: string;
  turnId?: string;
  messageCount?: number;
}

/** Tokens as the API counts them; what is not known is left out. */
export interface Usage {
  promptTokens?: number;
  completionTokens?: number;
  totalTokens?: number;
  cachedTokens?: number;
  reasoningTokens?: number;
}

export interface Settings {
  serviceName: string; // else the deployment's variable OTEL_SERVICE_NAME, else "convex"
  serviceVersion: string; // else OTEL_SERVICE_VERSION
  /** Of prompts and answers: their first 100 characters, the whole text as well, or lengths alone. Else VITRINE_CAPTURE, else "preview". */
  capture: "preview" | "full" | "none";
  redact: (text: string) => string; // applied to each prompt, answer and error before it is printed
  print: (line: string) => void; // instead of console.log
  enabled: boolean;
}

const settings: Partial<Settings> = {};

/** Optional; call it at the top of a module. */
export function configureTracing(given: Partial<Settings>): void {
  Object.assign(settings, given);
}

const PREVIEW_CHARACTERS = 100;
// Convex cuts a printed line at 32 KiB, counted after it has escaped quotes and backslashes, and a cut line is lost.
const LINE_BYTES_MAX = 30_000;
const TEXT_LIMITS = [16_000, 4_000, 400]; // of each attribute, tried in this order until the line fits

// ---- small things ----

function environment(name: string): string | undefined {
  const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
  return process?.env?.[name] || undefined;
}

function randomHex(bytes: number): string {
  const data = new Uint8Array(bytes);
  const { crypto } = globalThis as { crypto?: { getRandomValues?: (array: Uint8Array) => unknown } };
  if (crypto?.getRandomValues) crypto.getRandomValues(data);
  else for (let i = 0; i < bytes; i++) data[i] = Math.floor(Math.random() * 256);
  data[0] = (data[0] ?? 0) | 1; // an id of zeros is none
  return Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** The first characters, never half of one; `length` counts characters, as people do. */
function head(text: string, most: number): { text: string; length: number } {
  let length = 0;
  let end = 0;
  for (const character of text) {
    if (length < most) end += character.length;
    length++;
  }
  return { text: end < text.length ? `${text.slice(0, end)}...` : text, length };
}

function printedBytes(line: string): number {
  let bytes = 0;
  for (let i = 0; i < line.length; i++) {
    const code = line.charCodeAt(i);
    bytes += code === 0x5c || code === 0x27 ? 2 : code < 0x80 ? 1 : code < 0x800 ? 2 : 3;
  }
  return bytes;
}

function textOf(value: unknown): string {
  if (value === null || value === undefined) return "";
  try {
    return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  } catch {
    return String(value);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : textOf(error) || "unknown error";
}

/** A member of something of unknown shape: member(x, "usage", "prompt_tokens"), member(x, "choices", 0). */
function member(value: unknown, ...path: (string | number)[]): unknown {
  let at = value;
  for (const key of path) at = at !== null && typeof at === "object" ? (at as Record<string | number, unknown>)[key] : undefined;
  return at;
}

function firstString(value: unknown, paths: (string | number)[][]): string | undefined {
  for (const path of paths) {
    const found = member(value, ...path);
    if (typeof found === "string" && found) return found;
  }
  return undefined;
}

function firstNumber(value: unknown, names: string[][]): number | undefined {
  for (const path of names) {
    const found = member(value, ...path);
    if (typeof found === "number" && Number.isFinite(found)) return found;
  }
  return undefined;
}

// ---- what answers look like: OpenAI chat and responses, Anthropic messages, the Vercel AI SDK ----

const TEXTS = [["choices", 0, "message", "content"], ["choices", 0, "text"], ["output_text"], ["text"], ["message", "content"]];
const PIECES = [["choices", 0, "delta", "content"], ["choices", 0, "text"], ["delta", "text"], ["textDelta"], ["delta"], ["text"]];
const TEXT_EVENTS = ["content_block_delta", "response.output_text.delta", "text-delta"]; // others bring reasoning, or arguments of tools
const FINISHES = [["choices", 0, "finish_reason"], ["stop_reason"], ["delta", "stop_reason"], ["finishReason"], ["response", "status"]];
const USAGES = [["usage"], ["message", "usage"], ["response", "usage"], ["totalUsage"], ["usageMetadata"]];
const TOKENS: Record<keyof Usage, string[][]> = {
  promptTokens: [["prompt_tokens"], ["input_tokens"], ["inputTokens"], ["promptTokens"], ["promptTokenCount"]],
  completionTokens: [["completion_tokens"], ["output_tokens"], ["outputTokens"], ["completionTokens"], ["candidatesTokenCount"]],
  totalTokens: [["total_tokens"], ["totalTokens"], ["totalTokenCount"]],
  cachedTokens: [["prompt_tokens_details", "cached_tokens"], ["input_tokens_details", "cached_tokens"], ["cache_read_input_tokens"], ["cachedInputTokens"], ["cachedTokens"], ["cachedContentTokenCount"]],
  reasoningTokens: [["completion_tokens_details", "reasoning_tokens"], ["output_tokens_details", "reasoning_tokens"], ["reasoningTokens"]],
};

function usageIn(answer: unknown): Usage {
  const found: Usage = {};
  for (const path of USAGES) {
    const usage = member(answer, ...path);
    if (!usage) continue;
    for (const name of Object.keys(TOKENS) as (keyof Usage)[]) {
      const count = firstNumber(usage, TOKENS[name]);
      if (count !== undefined) found[name] = count;
    }
    break;
  }
  return found;
}

function answerText(answer: unknown): string | undefined {
  const text = typeof answer === "string" ? answer : firstString(answer, TEXTS);
  if (text) return text;
  const blocks = member(answer, "content"); // Anthropic
  if (Array.isArray(blocks)) return blocks.map((block) => textOf(member(block, "text"))).join("") || undefined;
  const tools = member(answer, "choices", 0, "message", "tool_calls");
  return tools ? textOf(tools) : undefined;
}

function pieceOf(chunk: unknown): string | undefined {
  if (typeof chunk === "string") return chunk;
  const type = member(chunk, "type");
  return typeof type === "string" && !TEXT_EVENTS.includes(type) ? undefined : firstString(chunk, PIECES);
}

// ---- a span ----

interface Event {
  name: string;
  timestamp: number;
  attributes?: Attributes;
}

export class Span {
  readonly traceId: string;
  readonly spanId = randomHex(8);
  readonly parentSpanId: string | undefined;
  private readonly start = Date.now();
  private readonly attributes: Attributes = {};
  private readonly events: Event[] = [];
  private failure: string | undefined;
  private answered = false;
  private firstTokenSeen = false;
  private ended = false;
  private usageGiven: Usage = {};

  /** Begins now. Prefer the trace… functions, which also end it. */
  constructor(readonly operation: string, options: SpanOptions = {}) {
    const { parent } = options;
    const remote = typeof parent === "string" ? /^[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}/.exec(parent) : null;
    this.traceId = parent instanceof Span ? parent.traceId : (remote?.[1] ?? randomHex(16));
    this.parentSpanId = parent instanceof Span ? parent.spanId : remote?.[2];
    if (options.attributes) this.set(options.attributes);
  }

  /** Hand it to another function as an argument and there as `parent`, or to a service as the header of this name. */
  get traceparent(): string {
    return `00-${this.traceId}-${this.spanId}-01`;
  }

  get userId(): string | undefined {
    return firstString(this.attributes, [["user.id"], ["chat.user_id"]]);
  }

  get threadId(): string | undefined {
    return firstString(this.attributes, [["thread.id"], ["chat.thread_id"]]);
  }

  /** null, undefined, "" and numbers that are none stand for "not known" and are left out. */
  set(attributes: Attributes): this {
    for (const [key, value] of Object.entries(attributes)) {
      if (value === undefined || value === null || value === "" || (typeof value === "number" && !Number.isFinite(value))) continue;
      this.attributes[key] = value;
    }
    return this;
  }

  event(name: string, attributes?: Attributes): this {
    this.events.push(attributes ? { name, timestamp: Date.now(), attributes } : { name, timestamp: Date.now() });
    return this;
  }

  error(error: unknown): this {
    this.failure = head(redacted(messageOf(error)), 1000).text;
    if (error instanceof Error && error.name !== "Error") this.set({ "error.type": error.name });
    return this;
  }

  prompt(prompt: unknown): this {
    return this.text(textOf(prompt), "prompt.length", "llm.prompt", "prompt.preview", "llm.input.messages");
  }

  /** The answer's text. Not needed where the traced function returns what the API answered. */
  response(text: string, finishReason?: string | null): this {
    this.answered = true;
    this.set({ "response.finish_reason": finishReason });
    return this.text(text, "response.length", "llm.response", "response.preview", "llm.output.messages");
  }

  /** Later calls add to what earlier ones said: a stream tells input and output apart. */
  usage(usage: Usage): this {
    Object.assign(this.usageGiven, usage);
    const { promptTokens, completionTokens, totalTokens, cachedTokens, reasoningTokens } = this.usageGiven;
    const total = totalTokens ?? (promptTokens ?? 0) + (completionTokens ?? 0);
    return this.set({
      "llm.usage.prompt_tokens": promptTokens, "llm.usage.completion_tokens": completionTokens, "llm.usage.total_tokens": total || undefined,
      "gen_ai.usage.cache_read.input_tokens": cachedTokens || undefined, "llm.usage.reasoning_tokens": reasoningTokens || undefined,
    });
  }

  /** Called by `stream`; by hand where you read a stream in another way. The first call counts. */
  firstToken(): this {
    if (this.firstTokenSeen) return this;
    this.firstTokenSeen = true;
    this.set({ "gen_ai.response.time_to_first_chunk": (Date.now() - this.start) / 1000 });
    return this.event("gen_ai.first_token");
  }

  /** Takes text, finish reason and usage out of an API's answer; what was said by hand stays. */
  answer(answer: unknown): this {
    const usage = usageIn(answer);
    if (Object.keys(usage).length && !Object.keys(this.usageGiven).length) this.usage(usage);
    const text = this.answered ? undefined : answerText(answer);
    if (text) this.response(text, firstString(answer, FINISHES));
    return this;
  }

  /**
   * Passes a stream's chunks on and notes the time of the first token, the text, the finish reason and the usage, also when
   * you stop reading early or it breaks. Read it within the traced function. OpenAI tells usage only when it is asked:
   * stream_options: { include_usage: true }.
   */
  async *stream<Chunk>(chunks: AsyncIterable<Chunk>): AsyncGenerator<Chunk, void, undefined> {
    let text = "";
    let finish: string | undefined;
    try {
      for await (const chunk of chunks) {
        const piece = pieceOf(chunk);
        if (piece || member(chunk, "choices", 0, "delta", "tool_calls")) this.firstToken();
        text += piece ?? "";
        finish = firstString(chunk, FINISHES) ?? finish;
        const usage = usageIn(chunk);
        if (Object.keys(usage).length) this.usage(usage);
        yield chunk;
      }
    } finally {
      if (text || finish) this.response(text, finish);
    }
  }

  /** Prints it. The first call counts. */
  end(): void {
    if (this.ended) return;
    this.ended = true;
    if (settings.enabled === false) return;
    try {
      (settings.print ?? console.log)(this.line(Date.now()));
    } catch {
      // an app must not fail because it is watched
    }
  }

  private text(given: string, length: string, event: string, preview: string, whole: string): this {
    if (!given) return this;
    const capture = settings.capture ?? environment("VITRINE_CAPTURE") ?? "preview";
    const text = capture === "none" ? given : redacted(given);
    const characters = head(given, 0).length;
    this.set({ [length]: characters });
    if (capture === "none") return this;
    if (capture === "full") this.set({ [whole]: text });
    return this.event(event, { [preview]: head(text, PREVIEW_CHARACTERS).text, ...(event === "llm.response" ? { [length]: characters } : {}) });
  }

  private line(end: number): string {
    const failed = this.failure !== undefined;
    const write = (most: number) => {
      const attributes: Attributes = {
        "service.name": settings.serviceName ?? environment("OTEL_SERVICE_NAME") ?? "convex",
        "service.version": settings.serviceVersion ?? environment("OTEL_SERVICE_VERSION"),
      };
      for (const [key, value] of Object.entries(this.attributes)) attributes[key] = typeof value === "string" ? head(value, most).text : value;
      return "🔍 TRACE: " + JSON.stringify({
        timestamp: new Date(this.start).toISOString(),
        level: failed ? "ERROR" : "INFO",
        message: `TRACE: ${this.operation}`,
        trace: {
          traceId: this.traceId, spanId: this.spanId, parentSpanId: this.parentSpanId, operation: this.operation,
          duration: `${Math.max(0, Math.round(end - this.start))}ms`, status: failed ? "ERROR" : "OK", error: this.failure,
        },
        attributes,
        events: this.events.length ? this.events : undefined,
      });
    };
    let line = "";
    for (const most of TEXT_LIMITS) {
      line = write(most);
      if (printedBytes(line) <= LINE_BYTES_MAX) break;
    }
    return line;
  }
}

function redacted(text: string): string {
  try {
    return settings.redact ? settings.redact(text) : text;
  } catch {
    return "[redacted]"; // better than what the rule could not read
  }
}

// ---- around a function ----

async function within<Result>(span: Span, fn: (span: Span) => Result | Promise<Result>, done?: (result: Result) => void): Promise<Result> {
  try {
    const result = await fn(span);
    try {
      done?.(result);
    } catch {
      // an answer of a shape that surprises us is still an answer
    }
    return result;
  } catch (error) {
    span.error(error);
    throw error;
  } finally {
    span.end();
  }
}

/** One call of a model. What `fn` returns is looked at for text, finish reason and usage. */
export function traceLLMCall<Result>(operation: string, call: LLMCall, fn: (span: Span) => Result | Promise<Result>): Promise<Result> {
  const turn = call.parent instanceof Span ? call.parent : undefined;
  const span = new Span(operation, { parent: call.parent });
  span.set({
    "llm.vendor": call.vendor, "llm.request.model": call.model, "llm.request.temperature": call.temperature, "llm.request.max_tokens": call.maxTokens || undefined,
    "user.id": call.userId ?? turn?.userId, "thread.id": call.threadId ?? turn?.threadId, ...call.attributes,
  });
  span.prompt(call.prompt);
  return within(span, fn, (result) => span.answer(result));
}

/** One turn of a conversation: "continue_thread" becomes the operation "chat.continue_thread". */
export function traceChatTurn<Result>(operation: string, turn: ChatTurn, fn: (span: Span) => Result | Promise<Result>): Promise<Result> {
  const span = new Span(`chat.${operation}`, { parent: turn.parent });
  span.set({ "chat.thread_id": turn.threadId, "chat.user_id": turn.userId, "chat.message_count": turn.messageCount || undefined, "chat.turn_id": turn.turnId, ...turn.attributes });
  span.event("chat.turn.start");
  return within(span, async (s) => {
    const result = await fn(s);
    s.event("chat.turn.complete");
    return result;
  });
}

/** Anything else: a search, a tool. */
export function traceSpan<Result>(operation: string, options: SpanOptions, fn: (span: Span) => Result | Promise<Result>): Promise<Result> {
  return within(new Span(operation, options), fn);
}
