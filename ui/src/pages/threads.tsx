// Threads: the conversations of a range, newest, longest, dearest or worst first.

import { useMemo } from 'preact/hooks'
import { api } from '../lib/api'
import { term } from '../lib/filter'
import { usePages } from '../lib/data'
import { count, duration, modelNames, usd } from '../lib/format'
import { href, navigate, setParams, useRoute } from '../lib/router'
import { FIRST_THREADS } from '../lib/urls'
import { useScope } from '../lib/scope'
import type { ThreadRow } from '../lib/types'
import { Chip, Empty, Segmented, StatusDot } from '../parts/basics'
import { FilterBar } from '../parts/filterbar'
import { type ListColumn, Rows } from '../parts/rows'
import { RangePicker, Refresh, Top } from '../parts/shell'
import { TimeCell } from './traces'

type Sort = 'last' | 'turns' | 'cost' | 'tokens' | 'errors'
const sorts: [Sort, string][] = [['last', 'Newest'], ['turns', 'Longest'], ['cost', 'Dearest'], ['errors', 'Troubled']]

export const threadHref = (id: string, params = {}) => href('/threads/' + encodeURIComponent(id), params)
const lasted = (row: ThreadRow) => Date.parse(row.last) - Date.parse(row.first)

const columns: ListColumn<ThreadRow>[] = [
  { key: 'last', name: 'Last turn', width: '104px', phone: '66px', cell: row => <TimeCell start={row.last} /> },
  { key: 'thread', name: 'Conversation', width: 'minmax(150px, 1.4fr)', phone: 'minmax(0, 1fr)', cell: row => <span class="row"><a class="cut plain strong" href={threadHref(row.thread_id)}>{row.thread_id}</a>
    {row.fallbacks ? <Chip tone="warn" title="Turns that were answered although a call in them failed">{row.fallbacks === 1 ? 'fallback' : `${row.fallbacks} fallbacks`}</Chip> : null}{row.errors ? <Chip tone="bad" title="Turns or calls that failed">{row.errors === 1 ? '1 error' : `${row.errors} errors`}</Chip> : null}</span> },
  { key: 'user', name: 'User', width: 'minmax(90px, .9fr)', cell: row => row.user_id ? <a class="cut" href={href('/threads', { q: term('user', row.user_id) })}>{row.user_id}</a> : '' },
  { key: 'turns', name: 'Turns', width: '56px', phone: '44px', num: true, cell: row => count(row.turn_count) },
  { key: 'lasted', name: 'Lasted', width: '92px', num: true, cell: row => lasted(row) > 0 ? duration(lasted(row)) : '' },
  { key: 'calls', name: 'LLM calls', width: '76px', num: true, cell: row => count(row.llm_calls) },
  { key: 'tokens', name: 'Tokens', width: '76px', num: true, cell: row => count(row.tokens?.total) },
  { key: 'cost', name: 'Cost', width: '86px', phone: '70px', num: true, cell: row => usd(row.cost_usd) },
  { key: 'models', name: 'Models', width: 'minmax(120px, 1.2fr)', cell: row => modelNames(row.models) },
]

export function Threads() {
  const { q, scope } = useScope()
  const asked = useRoute().params.get('sort')
  const sort = sorts.find(s => s[0] === asked)?.[0] ?? 'last'
  const what = useMemo(() => ({ ...scope, sort }), [scope, sort])
  const list = usePages(what, (cursor, signal) => api.threads({ ...what, limit: FIRST_THREADS, cursor }, signal).then(page => ({ ...page, rows: page.threads })))
  const filterError = list.error?.status === 400 ? list.error : null
  return <>
    <Top title="Threads" loading={list.loading}><RangePicker /><Refresh /></Top>
    <main class="page flush fixed">
      <div class="bar wrap">
        <FilterBar value={q} scope={scope} error={filterError} placeholder='Conversations with: user:shopper-1042 fallback:true "words that were said"' onChange={text => setParams({ q: text })} />
        <Segmented label="Order" value={sort} choices={sorts} onChange={next => setParams({ sort: next === 'last' ? null : next })} />
      </div>
      <div class="results">
        <Rows list={list} columns={columns} label="Conversations" noun="conversations" scope={what} filterError={filterError} onOpen={navigate} open={row => threadHref(row.thread_id)}
          status={row => <StatusDot status={row.errors && !row.fallbacks ? 'ERROR' : 'OK'} fallback={!!row.fallbacks} />}
          none={<Empty icon="threads" title={q ? 'No conversation matches' : 'No conversations in this range'}>{q ? <button class="button small" onClick={() => setParams({ q: null })}>Clear the filter</button>
            : <>Spans belong to a conversation when they carry <code>thread.id</code>, <code>gen_ai.conversation.id</code> or <code>session.id</code>.</>}</Empty>} />
      </div>
    </main>
  </>
}
