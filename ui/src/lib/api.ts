// All talk with the server: one `request` with time-out, cancellation and errors that say what to do.

import type {
  Alerts, Facets, Key, Overview, Price, QueryRequest, QueryResult, ServerStatus, Services, SqlResult, Thread, ThreadRow, Trace, TracePage, UserRow,
} from './types'
import { takeEarly } from './early'
import { readPref, writePref } from './prefs'
import { query, type Scope, urls } from './urls'
export type { Scope }

export class ApiError extends Error {
  constructor(readonly status: number, readonly code: string, message: string, readonly hint?: string, readonly column?: number) {
    super(message)
  }
  get gone() { return this.status === 0 }
  get denied() { return this.status === 401 || this.status === 403 }
  get missing() { return this.status === 404 || this.status === 405 || this.status === 501 }
}

const listeners = new Set<(error: ApiError | null) => void>()
let lastTrouble: ApiError | null = null

/* Tells of the server being unreachable or asking for a key, and of its coming back (null). */
export function onTrouble(listener: (error: ApiError | null) => void) {
  listeners.add(listener)
  return () => { listeners.delete(listener) }
}
function report(error: ApiError | null) {
  if (error === lastTrouble || (error && lastTrouble?.status === error.status)) return
  lastTrouble = error
  listeners.forEach(listener => listener(error))
}

export function accessKey() { return readPref('key', '') }
export function setAccessKey(key: string) { writePref('key', key) }

function errorOf(status: number, text: string): ApiError {
  try {
    const { error } = JSON.parse(text)
    return new ApiError(status, error.code ?? '', error.message ?? text, error.hint, error.column)
  } catch {
    return new ApiError(status, '', text.trim().slice(0, 300) || `The server answered ${status}.`)
  }
}

/* Fulfilled with the page's first answer, or soon after it began: what is not urgent waits for it. */
let answeredOnce = () => {}
export const firstAnswer = new Promise<void>(done => { answeredOnce = done; setTimeout(done, 1000) })

export async function request<T>(path: string, options: { method?: string; body?: unknown; signal?: AbortSignal } = {}): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' }
  if (options.body !== undefined) headers['content-type'] = 'application/json'
  if (accessKey()) headers.authorization = `Bearer ${accessKey()}`
  let response: Response, text: string
  try {
    response = await ((options.method ?? options.body) === undefined && takeEarly(path) || fetch(path, {
      method: options.method ?? (options.body === undefined ? 'GET' : 'POST'), headers, signal: options.signal,
      body: options.body === undefined ? undefined : JSON.stringify(options.body),
    }))
    text = await response.text()
    options.signal?.throwIfAborted()
  } catch (e) {
    if (options.signal?.aborted) throw e
    answeredOnce()
    const error = new ApiError(0, 'unreachable', 'The server does not answer.', 'Is `vitrine serve` running? The page tries again by itself.')
    report(error)
    throw error
  }
  answeredOnce()
  if (!response.ok) {
    const error = errorOf(response.status, text)
    report(error.status === 401 ? error : null)
    throw error
  }
  report(null)
  return (text ? JSON.parse(text) : {}) as T
}

export const api = {
  traces: (scope: Scope & { limit?: number; cursor?: string }, signal?: AbortSignal) => request<TracePage>(urls.traces(scope), { signal }),
  trace: (id: string, signal?: AbortSignal) => request<Trace>(urls.trace(id), { signal }),
  aggregate: (body: QueryRequest, signal?: AbortSignal) => request<QueryResult>('/api/v1/query', { body, signal }),
  overview: (scope: Parameters<typeof urls.overview>[0], signal?: AbortSignal) => request<Overview>(urls.overview(scope), { signal }),
  facets: (scope: Scope & { fields?: string; limit?: number }, signal?: AbortSignal) => request<Facets>('/api/v1/facets' + query({ ...scope }), { signal }),
  threads: (scope: Parameters<typeof urls.threads>[0], signal?: AbortSignal) => request<{ threads: ThreadRow[]; next?: string }>(urls.threads(scope), { signal }),
  thread: (id: string, signal?: AbortSignal) => request<Thread>(urls.thread(id), { signal }),
  users: (scope: Parameters<typeof urls.users>[0], signal?: AbortSignal) => request<{ users: UserRow[] }>(urls.users(scope), { signal }),
  sql: (sql: string, signal?: AbortSignal, limit = 10_000) => request<SqlResult>('/api/v1/sql', { body: { sql, limit }, signal }),
  services: (scope: Scope, signal?: AbortSignal) => request<Services>(urls.services(scope), { signal }),
  prices: (signal?: AbortSignal) => request<{ prices: Price[] }>('/api/v1/prices', { signal }),
  status: (signal?: AbortSignal) => request<ServerStatus>('/api/v1/status', { signal }),
  keys: (signal?: AbortSignal) => request<{ keys: Key[] }>('/api/v1/keys', { signal }),
  addKey: (body: { name: string; scopes: string; project?: string }) => request<Key & { key: string }>('/api/v1/keys', { body }),
  revokeKey: (id: Key['id']) => request('/api/v1/keys/' + encodeURIComponent(id), { method: 'DELETE' }),
  alerts: (signal?: AbortSignal) => request<Alerts>('/api/v1/alerts', { signal }),
  silence: (body: { monitor: string; group?: string; minutes: number; reason?: string }) => request('/api/v1/alerts/silences', { body }),
  unsilence: (id: number) => request('/api/v1/alerts/silences/' + id, { method: 'DELETE' }),
  score: (body: { trace_id: string; span_id?: string; name: string; value: number; comment?: string }) => request('/api/v1/scores', { body }),
}

/* WebSockets carry no headers: the key travels as a subprotocol, so that it does not end in access logs. */
export function openLive(q: string) {
  const url = new URL('/api/v1/live' + query({ q }), location.href)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  const key = accessKey()
  return key ? new WebSocket(url, ['vitrine.live', 'key.' + key]) : new WebSocket(url)
}
