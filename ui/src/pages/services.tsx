// Services: who calls whom, how often, how well. Providers of models are the leaves.

import { useMemo, useState } from 'preact/hooks'
import { api } from '../lib/api'
import { useLoad } from '../lib/data'
import { term } from '../lib/filter'
import { count, duration, percent } from '../lib/format'
import { layout, type MapNode } from '../lib/graph'
import { href, navigate, setParams } from '../lib/router'
import { useScope } from '../lib/scope'
import type { ServiceCall, Services as Data } from '../lib/types'
import { Card, type Column, Empty, Loading, SortTable } from '../parts/basics'
import { FilterBar } from '../parts/filterbar'
import { RangePicker, Refresh, Top } from '../parts/shell'

const BOX_W = 178, BOX_H = 62
const rate = (perSecond: number | undefined) => perSecond === undefined ? '' : perSecond >= 1 ? `${count(Number(perSecond.toPrecision(3)))}/s` : perSecond * 60 >= 0.1 ? `${count(Number((perSecond * 60).toPrecision(2)))}/min` : `${count(Number((perSecond * 3600).toPrecision(2)))}/h`
const tone = (share: number | undefined) => !share ? '' : share > 0.05 ? 'bad' : share > 0.01 ? 'warn' : ''
const nodeHref = (node: MapNode) => href('/traces', { q: term(node.provider ? 'provider' : 'service', node.name) })

function ServiceMap({ data }: { data: Data }) {
  const map = useMemo(() => layout(data, BOX_W, BOX_H), [data])
  const [over, setOver] = useState<string | null>(null)
  const most = Math.max(1, ...data.calls.map(c => c.count))
  const open = (node: MapNode) => navigate(nodeHref(node))
  return <div class="servicemap" tabIndex={0} role="region" aria-label="Map of services"><svg width={map.width} height={map.height} viewBox={`0 0 ${map.width} ${map.height}`} role="group" aria-label={`${map.nodes.length} services and providers`}>
    {map.edges.map(({ call, path, x, y }) => {
      const dim = over && over !== call.from && over !== call.to
      return <g key={`${call.from}>${call.to}`} class={`edge ${tone(call.error_rate)}${dim ? ' dimmed' : ''}`}><path d={path} style={{ strokeWidth: 1.2 + 4 * Math.sqrt(call.count / most) + 'px' }}><title>{`${call.from} calls ${call.to}: ${call.count}, ${percent(call.error_rate ?? 0)} failed, p95 ${duration(call.p95_ms)}`}</title></path>
        <text x={x} y={y - 7} text-anchor="middle">{rate(call.rate) || count(call.count)}</text><text x={x} y={y + 13} text-anchor="middle" class="dim">{duration(call.p95_ms)}</text></g>
    })}
    {map.nodes.map(node => <g key={node.name} class={'node' + (node.provider ? ' provider' : '')} role="link" tabIndex={0} transform={`translate(${node.x} ${node.y})`}
      onPointerEnter={() => setOver(node.name)} onPointerLeave={() => setOver(null)} onFocus={() => setOver(node.name)} onBlur={() => setOver(null)} onClick={() => open(node)} onKeyDown={event => { if (event.key === 'Enter') open(node) }}>
      <rect width={BOX_W} height={BOX_H} rx="9" /><text class="name" x="14" y="25">{node.name.length > 21 ? node.name.slice(0, 20) + '…' : node.name}</text>
      <text class="about" x="14" y="45">{count(node.spans)} {node.provider ? 'calls' : 'spans'}{node.p95_ms !== undefined ? ` · p95 ${duration(node.p95_ms)}` : ''}</text>
      {node.error_rate ? <text class={'errors ' + (tone(node.error_rate) || 'dim')} x={BOX_W - 12} y="25" text-anchor="end">{percent(node.error_rate)}</text> : null}</g>)}
  </svg></div>
}

const columns: Column<ServiceCall>[] = [
  { key: 'from', name: 'From', cell: c => c.from, sort: c => c.from }, { key: 'to', name: 'To', cell: c => <b>{c.to}</b>, sort: c => c.to },
  { key: 'count', name: 'Calls', num: true, cell: c => count(c.count), sort: c => c.count }, { key: 'rate', name: 'Rate', num: true, cell: c => rate(c.rate), sort: c => c.rate },
  { key: 'errors', name: 'Errors', num: true, cell: c => <span class={c.errors ? 'bad' : 'dim'}>{percent(c.error_rate ?? 0)}</span>, sort: c => c.error_rate },
  { key: 'p50', name: 'p50', num: true, cell: c => duration(c.p50_ms), sort: c => c.p50_ms }, { key: 'p95', name: 'p95', num: true, cell: c => duration(c.p95_ms), sort: c => c.p95_ms },
]

export function Services() {
  const { q, scope, key } = useScope()
  const load = useLoad(`services|${key}|${q}`, signal => api.services(scope, signal))
  const filterError = load.error?.status === 400 ? load.error : null
  return <>
    <Top title="Services" loading={load.loading}><RangePicker /><Refresh /></Top>
    <main class="page">
      <FilterBar value={q} scope={scope} error={filterError} placeholder="All spans. Narrow it: service:ai-storefront" onChange={text => setParams({ q: text })} />
      {filterError ? <Empty icon="filter" title="The filter has a mistake">Mend it above; the message points at the place.</Empty>
        : <Loading load={load} lines={10}>{data => data.services.length ? <>
          <Card title="Who calls whom" note="thicker is more often, red fails more than 5 %"><ServiceMap data={data} /></Card>
          <Card title="Calls"><SortTable label="Calls between services" start="count" columns={columns} rows={data.calls} rowKey={c => `${c.from}>${c.to}`} onRow={c => navigate(href('/traces', { q: term('service', c.from) }))} empty={<Empty title="No service called another">Services are told apart by <code>service.name</code>; a call is a span whose parent belongs to another service.</Empty>} /></Card>
        </> : <Card title="Who calls whom"><Empty icon="services" title="No spans in this range">Services are told apart by <code>service.name</code>.</Empty></Card>}</Loading>}
    </main>
  </>
}
