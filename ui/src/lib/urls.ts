// Addresses of /api/v1 that pages begin with: made in one place, since early.ts asks for them before the page has come.

export interface Scope { from: string | number; to: string | number; q?: string }
type Params = Record<string, string | number | boolean | undefined | null>

export function query(params: Params) {
  const out = new URLSearchParams()
  for (const [key, value] of Object.entries(params)) if (value !== undefined && value !== null && value !== '') out.set(key, String(value))
  const text = out.toString()
  return text ? '?' + text : ''
}

export const FIRST_TRACES = 200, FIRST_THREADS = 100, FIRST_USERS = 100 // the first page comes fast

export const urls = {
  overview: (scope: Scope & { interval?: string; lines?: number; numbers?: number }) => '/api/v1/overview' + query({ from: scope.from, to: scope.to, q: scope.q, interval: scope.interval, lines: scope.lines, numbers: scope.numbers }),
  traces: (scope: Scope & { limit?: number; cursor?: string }) => '/api/v1/traces' + query({ from: scope.from, to: scope.to, q: scope.q, limit: scope.limit, cursor: scope.cursor }),
  trace: (id: string) => '/api/v1/traces/' + encodeURIComponent(id),
  threads: (scope: Scope & { sort?: string; limit?: number; cursor?: string }) => '/api/v1/threads' + query({ from: scope.from, to: scope.to, q: scope.q, sort: scope.sort, limit: scope.limit, cursor: scope.cursor }),
  thread: (id: string) => '/api/v1/threads/' + encodeURIComponent(id),
  users: (scope: Scope & { sort?: string; limit?: number }) => '/api/v1/users' + query({ from: scope.from, to: scope.to, q: scope.q, sort: scope.sort, limit: scope.limit }),
  services: (scope: Scope) => '/api/v1/services' + query({ from: scope.from, to: scope.to, q: scope.q }),
}
