// The filter language as the page needs it: colours, completion, and adding or removing single terms. What a filter means
// and whether it is right is the server's to say.

export interface Token { text: string; kind: 'field' | 'op' | 'value' | 'word' | 'text' | 'logic' | 'space'; at: number }

const rule = /(\s+)|(\bOR\b|\bAND\b|[()])|(-?(?:[A-Za-z_][\w.-]*):)((?:>=|<=|>|<)?)("(?:[^"\\]|\\.)*"?|[^\s()]*)|("(?:[^"\\]|\\.)*"?)|([^\s()]+)/g

export function tokens(text: string): Token[] {
  const out: Token[] = []
  for (const m of text.matchAll(rule)) {
    let at = m.index!
    const put = (piece: string | undefined, kind: Token['kind']) => {
      if (!piece) return
      out.push({ text: piece, kind, at })
      at += piece.length
    }
    put(m[1], 'space')
    put(m[2], 'logic')
    put(m[3], 'field')
    put(m[4], 'op')
    put(m[5], 'value')
    put(m[6], 'text')
    put(m[7], 'word')
  }
  return out
}

export interface Field { name: string; about: string; values?: string[]; group?: string }
/* What can be asked for; `group` is the field whose values the server is asked for. */
export const fields: Field[] = [
  { name: 'model', about: 'model that answered', group: 'model' },
  { name: 'provider', about: 'openai, anthropic, …', group: 'provider' },
  { name: 'status', about: 'how it ended', values: ['error', 'ok', 'unset'] },
  { name: 'kind', about: 'what kind of work', values: ['llm', 'turn', 'tool', 'retrieval', 'embedding', 'agent', 'chain', 'other'] },
  { name: 'service', about: 'service.name', group: 'service' },
  { name: 'operation', about: 'name of the span, * allowed', group: 'operation' },
  { name: 'duration', about: 'time it took', values: ['>500ms', '>1s', '>2s', '>5s', '1s..5s'] },
  { name: 'ttft', about: 'time to first token', values: ['>500ms', '>1s', '>2s'] },
  { name: 'cost', about: 'in USD', values: ['>0.01', '>=0.1', '0.001..0.01'] },
  { name: 'tokens', about: 'all tokens', values: ['>1000', '>10000'] },
  { name: 'user', about: 'user id', group: 'user_id' },
  { name: 'thread', about: 'conversation id', group: 'thread_id' },
  { name: 'turn', about: 'turn id' },
  { name: 'fallback', about: 'answered although a call failed', values: ['true', 'false'] },
  { name: 'root', about: 'the first span of a trace', values: ['true', 'false'] },
  { name: 'prompt', about: 'words that were asked' },
  { name: 'completion', about: 'words that were answered' },
  { name: 'tokens.output', about: 'tokens written', values: ['>500', '>2000'] },
  { name: 'finish_reason', about: 'stop, length, tool_calls', group: 'finish_reason' },
  { name: 'error', about: 'text of the error' },
  { name: 'has', about: 'a field that is known', values: ['error', 'cost', 'ttft', 'user', 'thread', 'prompt'] },
  { name: 'attr.', about: 'any attribute: attr.KEY:VALUE' },
]

export function quote(value: string): string {
  return /^[\w.@/+-]+$/.test(value) && !/^(OR|AND)$/.test(value) ? value : '"' + value.replace(/(["\\])/g, '\\$1') + '"'
}
export function term(field: string, value: string): string { return `${field}:${quote(value)}` }

const terms = (q: string): string[] => q.match(/\S*"(?:[^"\\]|\\.)*"|\S+/g) ?? []

export function hasTerm(q: string, wanted: string): boolean { return terms(q).includes(wanted) }
export function addTerm(q: string, wanted: string): string { return hasTerm(q, wanted) ? q : (q.trim() + ' ' + wanted).trim() }
export function removeTerm(q: string, unwanted: string): string { return terms(q).filter(t => t !== unwanted).join(' ') }
export function toggleTerm(q: string, wanted: string): string { return hasTerm(q, wanted) ? removeTerm(q, wanted) : addTerm(q, wanted) }
/* Puts one term of a field in the place of all others of it ("duration:"). Null takes them out. */
export function setTerm(q: string, field: string, value: string | null): string {
  const rest = terms(q).filter(t => !t.startsWith(field + ':')).join(' ')
  return value === null ? rest : (rest + ` ${field}:${value}`).trim()
}
/* All filters at once; alternatives of one stay together. */
export function both(...parts: (string | undefined | null)[]): string {
  const given = parts.filter((part): part is string => !!part?.trim())
  return given.map(part => given.length > 1 && /\bOR\b/.test(part) ? `(${part})` : part).join(' ')
}

/* The word under the caret, for completion: its text and where it begins. */
export function wordAt(text: string, caret: number): { start: number; word: string } {
  const start = Math.max(text.lastIndexOf(' ', caret - 1), text.lastIndexOf('(', caret - 1)) + 1
  return { start, word: text.slice(start, caret) }
}
