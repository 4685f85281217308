// The map of services: layers from left to right, by the longest way from a caller; providers last.

import type { ServiceCall, Services } from './types'

export interface MapNode { name: string; provider: boolean; spans: number; error_rate?: number; p95_ms?: number; x: number; y: number; layer: number }
export interface MapEdge { call: ServiceCall; path: string; x: number; y: number }

const GAP_X = 130, GAP_Y = 26, PAD = 18

export function layout({ services, calls }: Services, boxW: number, boxH: number): { nodes: MapNode[]; edges: MapEdge[]; width: number; height: number } {
  const own = new Map(services.map(s => [s.service, s]))
  const nodes = new Map<string, MapNode>()
  for (const s of services) nodes.set(s.service, { name: s.service, provider: false, spans: s.spans, error_rate: s.error_rate, p95_ms: s.p95_ms, x: 0, y: 0, layer: 0 })
  for (const c of calls) for (const name of [c.from, c.to]) if (!nodes.has(name)) {
    const to = calls.filter(other => other.to === name), total = to.reduce((n, x) => n + x.count, 0)
    nodes.set(name, { name, provider: !own.has(name), spans: total, error_rate: total ? to.reduce((n, x) => n + (x.errors ?? 0), 0) / total : undefined, p95_ms: to.length ? Math.max(...to.map(x => x.p95_ms ?? 0)) : undefined, x: 0, y: 0, layer: 0 })
  }
  // Longest way, a bounded number of rounds: circles of calls come to rest.
  for (let round = 0, moved = true; moved && round < Math.min(nodes.size, 12); round++) {
    moved = false
    for (const c of calls) {
      const from = nodes.get(c.from)!, to = nodes.get(c.to)!
      if (from !== to && to.layer < from.layer + 1 && from.layer + 1 < 12) { to.layer = from.layer + 1; moved = true }
    }
  }
  const used = [...new Set([...nodes.values()].map(n => n.layer))].sort((a, b) => a - b)
  const columns = used.map(layer => [...nodes.values()].filter(n => n.layer === layer).sort((a, b) => Number(a.provider) - Number(b.provider) || b.spans - a.spans))
  const tallest = Math.max(...columns.map(c => c.length), 1), height = 2 * PAD + tallest * boxH + (tallest - 1) * GAP_Y
  columns.forEach((column, i) => {
    const tall = column.length * boxH + (column.length - 1) * GAP_Y
    column.forEach((node, j) => { node.x = PAD + i * (boxW + GAP_X); node.y = (height - tall) / 2 + j * (boxH + GAP_Y) })
  })
  const edges = calls.filter(c => c.from !== c.to).map(call => {
    const a = nodes.get(call.from)!, b = nodes.get(call.to)!
    const x1 = a.x + boxW, y1 = a.y + boxH / 2, x2 = b.x, y2 = b.y + boxH / 2, bend = Math.max(50, Math.abs(x2 - x1) / 2)
    return { call, path: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, x: x1 + (x2 - x1) * 0.62, y: y1 + (y2 - y1) * 0.72 }
  })
  return { nodes: [...nodes.values()], edges, width: 2 * PAD + columns.length * boxW + Math.max(0, columns.length - 1) * GAP_X, height }
}
