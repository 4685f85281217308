// The shapes of /api/v1 (docs/api.md). What is not known is absent.

export type Status = 'OK' | 'ERROR' | 'UNSET'
export type Kind = 'llm' | 'turn' | 'tool' | 'retrieval' | 'embedding' | 'agent' | 'chain' | 'other'

export interface Tokens { input?: number; output?: number; cached?: number; cache_write?: number; reasoning?: number; total?: number }

export interface TraceRow {
  trace_id: string; operation: string; service?: string; start: string; duration_ms: number; status: Status; error?: string
  models?: string[]; provider?: string; span_count: number; llm_calls?: number; tokens?: Tokens; cost_usd?: number
  user_id?: string; thread_id?: string; turn_id?: string; fallback?: boolean
}
export interface TracePage { traces: TraceRow[]; next?: string; scanned?: number; elapsed_ms?: number }

export interface Message { role?: string; content?: unknown; parts?: unknown; tool_calls?: unknown; [key: string]: unknown }
export type Said = string | Message[]

export interface SpanEvent { name: string; timestamp?: number; attributes?: Record<string, unknown> }
export interface Score { name: string; value: number; comment?: string; user_id?: string; time?: string }

export interface Span {
  span_id: string; parent_span_id?: string; trace_id?: string; operation: string; kind: Kind; service?: string; start: string
  duration_ms: number; status: Status; error?: string; provider?: string; model?: string; tokens?: Tokens; cost_usd?: number
  ttft_ms?: number; finish_reason?: string; temperature?: number; user_id?: string; thread_id?: string; turn_id?: string
  prompt?: Said; completion?: Said; attributes?: Record<string, unknown>; resource?: Record<string, unknown>
  events?: SpanEvent[]; scores?: Score[]; fallback?: boolean; usage_restated?: boolean; estimated?: boolean; sample_rate?: number; depth?: number
}
export interface Trace { trace_id: string; spans: Span[]; scores?: Score[]; fallback?: boolean }

export interface QueryRequest {
  from?: string | number; to?: string | number; where?: string; select: string[]; group_by?: string[]; interval?: string
  limit?: number; order_by?: string; order?: 'asc' | 'desc'
}
export type Point = (number | null)[]
export interface Series { group: Record<string, string>; points: Point[] }
export interface QueryResult { series: Series[]; elapsed_ms?: number; scanned?: number }

export interface SqlResult { columns: string[]; rows: unknown[][]; elapsed_ms?: number; truncated?: boolean }

export interface Facets { facets: { field: string; values: { value: string; count: number }[]; missing?: number; more?: boolean }[] }

export interface Numbers {
  llm_calls?: number; errors?: number; error_rate?: number; p50_ms?: number; p95_ms?: number; p99_ms?: number; ttft_p50_ms?: number; ttft_p95_ms?: number
  tokens?: Tokens; cost_usd?: number; turns?: number; threads?: number; turns_per_thread?: number; active_users?: number; returning_users?: number
  new_users?: number; fallbacks?: number; fallback_rate?: number; cost_per_thread_usd?: number; cost_per_turn_usd?: number
}
export interface ModelRow {
  model?: string; provider?: string; calls: number; share?: number; errors?: number; error_rate?: number; p50_ms?: number; p95_ms?: number; p99_ms?: number
  ttft_p50_ms?: number; ttft_p95_ms?: number; tokens?: Tokens; cost_usd?: number; cost_share?: number
}
export interface Lines { columns: string[]; series: { group: Record<string, string>; total: Point; points: Point[] }[] }
export interface Overview {
  from_ms: number; to_ms: number; interval_ms: number; now: Numbers; previous?: Numbers; trend: { columns: string[]; points: Point[] }
  models: ModelRow[]; providers: { provider?: string; calls: number; errors?: number; error_rate?: number; p95_ms?: number; cost_usd?: number }[]
  model_lines?: Lines; provider_lines?: Lines
  scores?: { name: string; model?: string; count: number; avg: number; cost_usd?: number }[]; elapsed_ms?: number
}

export interface ThreadRow {
  thread_id: string; user_id?: string; first: string; last: string; turn_count: number; llm_calls?: number; errors?: number; fallbacks?: number
  tokens?: Tokens; cost_usd?: number; models?: string[]
}
export interface Call {
  span_id: string; operation: string; kind: Kind; provider?: string; model?: string; status: Status; error?: string; start: string; duration_ms: number
  ttft_ms?: number; tokens?: Tokens; cost_usd?: number; finish_reason?: string
}
export interface Turn {
  turn_id?: string; trace_id: string; span_id?: string; operation: string; start: string; duration_ms: number; status: Status; error?: string; user_id?: string
  fallback?: boolean; input?: string; output?: string; models?: string[]; llm_calls?: number; tokens?: Tokens; cost_usd?: number; calls?: Call[]; scores?: Score[]
}
export interface Thread extends ThreadRow { turns: Turn[] }
export interface UserRow {
  user_id: string; calls: number; turns?: number; threads?: number; errors?: number; error_rate?: number; tokens?: Tokens; cost_usd?: number; first?: string; last?: string
}

export interface ServiceRow { service: string; spans: number; errors?: number; error_rate?: number; rate?: number; p95_ms?: number }
export interface ServiceCall { from: string; to: string; count: number; errors?: number; error_rate?: number; rate?: number; p50_ms?: number; p95_ms?: number }
export interface Services { services: ServiceRow[]; calls: ServiceCall[]; scanned?: number; elapsed_ms?: number }

export type AlertState = 'OK' | 'WARN' | 'ALERT' | 'NO DATA'
export interface AlertChange { at: string; from: AlertState; to: AlertState; value?: number }
export interface AlertGroup { group?: string; state: AlertState; since?: string; value?: number; history?: AlertChange[] }
export interface Monitor {
  name: string; query?: string; message?: string; type?: string; tags?: string[]; critical?: number; warning?: number; critical_recovery?: number
  warning_recovery?: number; unit?: string; error?: string; groups?: AlertGroup[]
}
export interface Silence { id: number; monitor: string; group?: string; until: string; reason?: string }
export interface Alerts { file?: string; error?: string; monitors: Monitor[]; silences?: Silence[]; targets?: { name: string; kind: string }[] }

export interface Price { provider?: string; model: string; input?: number; cached?: number; cache_write?: number; output?: number; valid_from?: string; source?: string }
export interface Key { id: number | string; name: string; scopes?: string | string[]; project?: string; created?: string; last_used?: string; revoked?: string | boolean }
export interface Forward { name: string; spans_queued: number; requests_sent: number; requests_refused: number; spans_dropped: number; queue_bytes: number; queue_files: number }
export interface ServerStatus {
  version?: string; started?: string; uptime_s?: number; ready?: boolean
  store?: { spans_total?: number; segments?: number; segment_bytes?: number; wal_bytes?: number; memtable_rows?: number; oldest?: string; newest?: string; disk_free_bytes?: number; disk_full?: boolean; segments_set_aside?: number; sampled_out?: number; dir?: string }
  ingest?: { spans_per_s?: number; accepted?: number; rejected?: number; last_error?: { time?: string; source?: string; message?: string } }
  queues?: Record<string, unknown>; live_clients?: number; retention?: unknown; durability?: string; keys_required?: boolean; listen?: string[]; grpc?: string; masking?: string; sampling?: string; statsd?: boolean; forwards?: Forward[]; upstreams?: (string | { name?: string })[]
}
