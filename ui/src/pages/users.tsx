// Users: who uses it, what they cost, how it goes for them.

import { api } from '../lib/api'
import { useLoad } from '../lib/data'
import { count, percent, usd } from '../lib/format'
import { addTerm, term } from '../lib/filter'
import { href, navigate, setParams, useRoute } from '../lib/router'
import { FIRST_USERS } from '../lib/urls'
import { useScope } from '../lib/scope'
import { ago, dateTime } from '../lib/time'
import type { UserRow } from '../lib/types'
import { Card, type Column, Empty, Loading, Segmented, SortTable } from '../parts/basics'
import { FilterBar } from '../parts/filterbar'
import { RangePicker, Refresh, Top } from '../parts/shell'

type Sort = 'cost' | 'calls' | 'tokens' | 'errors' | 'last'
const sorts: [Sort, string][] = [['cost', 'Cost'], ['calls', 'Calls'], ['tokens', 'Tokens'], ['errors', 'Errors'], ['last', 'Last seen']]
const ROWS_MAX = 1000

export function Users() {
  const { q, scope, key } = useScope()
  const { params } = useRoute()
  const sort = sorts.find(s => s[0] === params.get('sort'))?.[0] ?? 'cost'
  const limit = Math.min(ROWS_MAX, Math.max(FIRST_USERS, Number(params.get('limit')) || 0))
  const load = useLoad(`users|${key}|${q}|${sort}|${limit}`, signal => api.users({ ...scope, sort, limit }, signal))
  const filterError = load.error?.status === 400 ? load.error : null
  const most = Math.max(1e-12, ...(load.data?.users ?? []).map(u => u.cost_usd ?? 0))
  const threads = (u: UserRow) => href('/threads', { q: addTerm(q, term('user', u.user_id)) })
  const columns: Column<UserRow>[] = [
    { key: 'user', name: 'User', cell: u => <a class="plain strong" href={threads(u)}>{u.user_id}</a>, sort: u => u.user_id },
    { key: 'cost', name: 'Cost', num: true, cell: u => <>{usd(u.cost_usd)}<span class="meter"><i style={{ width: 100 * (u.cost_usd ?? 0) / most + '%' }} /></span></>, sort: u => u.cost_usd },
    { key: 'threads', name: 'Conversations', num: true, cell: u => count(u.threads), sort: u => u.threads },
    { key: 'turns', name: 'Turns', num: true, cell: u => count(u.turns), sort: u => u.turns },
    { key: 'calls', name: 'LLM calls', num: true, cell: u => count(u.calls), sort: u => u.calls },
    { key: 'tokens', name: 'Tokens', num: true, cell: u => count(u.tokens?.total), sort: u => u.tokens?.total },
    { key: 'errors', name: 'Failed calls', num: true, cell: u => u.errors ? <a class="bad" href={href('/traces', { q: `${term('user', u.user_id)} status:error` })}>{count(u.errors)} <span class="dim">{percent(u.error_rate)}</span></a> : <span class="dim">0</span>, sort: u => u.errors },
    { key: 'last', name: 'Last seen', num: true, cell: u => u.last && <time dateTime={u.last} title={dateTime(Date.parse(u.last))}>{ago(Date.parse(u.last))}</time>, sort: u => u.last },
    { key: 'traces', name: <span class="sr">Traces</span>, cell: u => <a href={href('/traces', { q: term('user', u.user_id) })}>Traces</a> },
  ]
  return <>
    <Top title="Users" loading={load.loading}><RangePicker /><Refresh /></Top>
    <main class="page">
      <div class="row wrap"><FilterBar value={q} scope={scope} error={filterError} placeholder="Users of spans that match: model:gpt-4o status:error" onChange={text => setParams({ q: text })} />
        <Segmented label="Order" value={sort} choices={sorts} onChange={next => setParams({ sort: next === 'cost' ? null : next })} /></div>
      <Card>{filterError ? <Empty icon="filter" title="The filter has a mistake">Mend it above; the message points at the place.</Empty> : <Loading load={load} lines={12}>{data => <>
        <SortTable label="Users" columns={columns} rows={data.users} rowKey={u => u.user_id} onRow={u => navigate(threads(u))}
          empty={<Empty icon="users" title={q ? 'No user matches' : 'No users in this range'}>{!q && <>Spans belong to a user when they carry <code>user.id</code>.</>}</Empty>} />
        {data.users.length === limit && limit < ROWS_MAX && <div class="more"><button class="button small" onClick={() => setParams({ limit: Math.min(ROWS_MAX, limit * 3) }, true)}>Show more</button></div>}
      </>}</Loading>}</Card>
    </main>
  </>
}
