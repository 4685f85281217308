// A trace as a tree: parents found, cycles cut, orphans at the top, the critical path marked. Linear in the number of spans.

import type { Kind, Span } from './types'

export interface Node {
  span: Span; depth: number; start: number; end: number; children: Node[]; parent: Node | null
  size: number        // spans in this subtree, itself included
  critical: boolean   // on the path that made the trace take as long as it did
  troubled: boolean   // it or something below it failed
  criticalMs: number  // how much of the trace's time passed in this very span
}
export interface Tree { roots: Node[]; start: number; end: number; count: number; byId: Map<string, Node>; order: Node[]; kinds: Partial<Record<Kind, number>>; errors: Node[] }

const parseStart = (span: Span) => {
  const ms = Date.parse(span.start)
  const micros = /\.\d{3}(\d{1,6})/.exec(span.start) // Date knows milliseconds only
  return Number.isNaN(ms) ? 0 : ms + (micros ? Number('0.' + micros[1]) : 0)
}

export function buildTree(spans: Span[]): Tree {
  const byId = new Map<string, Node>()
  const nodes = spans.map(span => {
    const start = parseStart(span)
    const node: Node = { span, depth: 0, start, end: start + (span.duration_ms || 0), children: [], parent: null, size: 1, critical: false, troubled: span.status === 'ERROR', criticalMs: 0 }
    if (!byId.has(span.span_id)) byId.set(span.span_id, node)
    return node
  })
  const roots: Node[] = []
  for (const node of nodes) {
    const parent = node.span.parent_span_id ? byId.get(node.span.parent_span_id) : undefined
    if (parent && parent !== node) { node.parent = parent; parent.children.push(node) } else roots.push(node)
  }
  // What no root leads to is a cycle: cut it at its earliest span.
  const seen = new Set<Node>()
  const visit = (from: Node[]) => {
    const todo = [...from]
    while (todo.length) {
      const node = todo.pop()!
      if (seen.has(node)) continue
      seen.add(node)
      todo.push(...node.children)
    }
  }
  visit(roots)
  for (const node of seen.size < nodes.length ? [...nodes].sort((a, b) => a.start - b.start) : []) {
    if (seen.has(node)) continue
    node.parent!.children = node.parent!.children.filter(child => child !== node)
    node.parent = null
    roots.push(node)
    visit([node])
  }
  const byStart = (a: Node, b: Node) => a.start - b.start || b.end - a.end
  roots.sort(byStart)
  const order: Node[] = []
  const stack = [...roots].reverse()
  while (stack.length) {
    const node = stack.pop()!
    node.depth = node.parent ? node.parent.depth + 1 : 0
    node.children.sort(byStart)
    order.push(node)
    for (let i = node.children.length - 1; i >= 0; i--) stack.push(node.children[i])
  }
  for (let i = order.length - 1; i >= 0; i--) {
    const { parent } = order[i]
    if (!parent) continue
    parent.size += order[i].size
    parent.troubled ||= order[i].troubled
  }
  let start = Infinity, end = -Infinity
  const kinds: Partial<Record<Kind, number>> = {}
  for (const node of order) {
    start = Math.min(start, node.start)
    end = Math.max(end, node.end)
    kinds[node.span.kind] = (kinds[node.span.kind] ?? 0) + 1
  }
  if (!order.length) start = end = 0
  markCritical(roots)
  return { roots, start, end, count: order.length, byId, order, kinds, errors: order.filter(node => node.span.status === 'ERROR') }
}

/* Backwards from the end of the longest root: the child that ended last before the moment is what was waited for. */
function markCritical(roots: Node[]) {
  let longest: Node | null = null
  for (const root of roots) if (!longest || root.end - root.start > longest.end - longest.start) longest = root
  const todo: [Node, number, number][] = longest ? [[longest, longest.start, longest.end]] : []
  while (todo.length) {
    const [node, from, until] = todo.pop()!
    node.critical = true
    let moment = Math.min(until, node.end)
    const floor = Math.max(from, node.start)
    for (const child of [...node.children].sort((a, b) => b.end - a.end)) {
      if (child.start >= moment || child.end <= floor) continue
      const end = Math.min(child.end, moment), start = Math.max(child.start, floor)
      if (end <= start) continue
      node.criticalMs += moment - end
      todo.push([child, start, end])
      moment = start
      if (moment <= floor) break
    }
    node.criticalMs += Math.max(0, moment - floor)
  }
}

/* The rows to show when some nodes are folded. */
export function visible(tree: Tree, folded: Set<Node>): Node[] {
  if (!folded.size) return tree.order
  const out: Node[] = []
  for (let i = 0; i < tree.order.length; i++) {
    const node = tree.order[i]
    out.push(node)
    if (folded.has(node)) i += node.size - 1
  }
  return out
}
