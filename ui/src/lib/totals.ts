// What a whole trace used. A wrapper that repeats what its children report is not counted twice.

import type { Node, Tree } from './tree'

export interface Totals {
  calls: number; tokens?: number; input?: number; output?: number; cost?: number; models: string[]; ttft?: number
  user?: string; thread?: string; fallback: boolean
}

function usage(node: Node, known: (node: Node) => number | undefined): number | undefined {
  // leaves first, without recursion: a trace may be thousands deep
  const sums = new Map<Node, number | undefined>()
  const stack: [Node, boolean][] = [[node, false]]
  while (stack.length) {
    const [n, done] = stack.pop()!
    if (!done) {
      stack.push([n, true])
      for (const child of n.children) stack.push([child, false])
      continue
    }
    let below: number | undefined
    for (const child of n.children) {
      const v = sums.get(child)
      if (v !== undefined) below = (below ?? 0) + v
    }
    sums.set(n, below ?? known(n))
  }
  return sums.get(node)
}

const add = (tree: Tree, known: (node: Node) => number | undefined) => tree.roots.reduce<number | undefined>((sum, root) => {
  const v = usage(root, known)
  return v === undefined ? sum : (sum ?? 0) + v
}, undefined)

const made = new WeakMap<Tree, Totals>()

export function totals(tree: Tree): Totals {
  const before = made.get(tree)
  if (before) return before
  const llm = tree.order.filter(n => n.span.kind === 'llm')
  const input = add(tree, n => n.span.tokens?.input), output = add(tree, n => n.span.tokens?.output)
  const first = llm.find(n => n.span.ttft_ms !== undefined)
  const out: Totals = {
    calls: llm.length, input, output, tokens: input === undefined && output === undefined ? add(tree, n => n.span.tokens?.total) : (input ?? 0) + (output ?? 0),
    cost: add(tree, n => n.span.cost_usd), models: [...new Set(llm.map(n => n.span.model).filter((m): m is string => !!m))],
    ttft: first && first.start - tree.start + first.span.ttft_ms!, user: tree.order.find(n => n.span.user_id)?.span.user_id, thread: tree.order.find(n => n.span.thread_id)?.span.thread_id,
    fallback: tree.order.some(n => n.span.kind === 'turn' && n.span.status === 'OK' && within(n, below => below.span.kind === 'llm' && below.span.status === 'ERROR')),
  }
  made.set(tree, out)
  return out
}

function within(node: Node, test: (node: Node) => boolean): boolean {
  const todo = [...node.children]
  while (todo.length) {
    const next = todo.pop()!
    if (test(next)) return true
    todo.push(...next.children)
  }
  return false
}
