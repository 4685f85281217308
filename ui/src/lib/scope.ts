// What is looked at: the time range and the filter of the address.

import { useMemo } from 'preact/hooks'
import { nowish } from './early'
import type { Range } from './time'
import { rangeOf, resolve, stepFor } from './time'
import { useRoute } from './router'
import { useTick } from './data'

export function useScope() {
  const { params } = useRoute()
  const tick = useTick()
  const range: Range = rangeOf(params)
  const q = params.get('q') ?? ''
  return useMemo(() => {
    const span = resolve(range, nowish())
    return { range, q, span, step: stepFor(span), scope: { from: span.from, to: span.to, q }, key: `${range.from}~${range.to}`, tick }
  }, [range.from, range.to, q, tick])
}
