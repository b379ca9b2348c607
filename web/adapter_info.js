/** What the chosen adapter file is, below the list of Load SoftREPA Adapter. */

import { isLinked, statedBy, widgetOf } from './graph.js'
import { addPanel, element, keepShown } from './panel.js'
import { warningLine } from './warning.js'

const HEIGHT = 88
const OBJECTIVES = { softrepa: 'SoftREPA', agsm: 'AGSM' }

export class AdapterInfo {
  #node
  #shared
  #content = element('div', 'softrepa-info')
  #shown = ''

  /** shared: {app, facts, text}, the extension's own. */
  constructor(node, shared) {
    this.#node = node
    this.#shared = shared
    addPanel(shared.app, node, 'softrepa_info', this.#content, { height: HEIGHT, grows: true })
  }

  /** misfit: why a model downstream cannot take the adapter, or null. */
  refresh(misfit) {
    keepShown(this.#shared.app, this.#node, this.#content)
    const lines = this.#lines(misfit)
    const shown = JSON.stringify(lines)
    if (shown === this.#shown) return
    this.#shown = shown
    this.#content.replaceChildren(...lines.map((line) => this.#row(line)))
  }

  #row([kind, text]) {
    return kind === 'warning' ? warningLine(text) : element('div', `softrepa-${kind}`, text)
  }

  #lines(misfit) {
    const { facts, text } = this.#shared
    const { value, options } = widgetOf(this.#node, 'adapter') ?? {}
    if (isLinked(this.#node, 'adapter')) return [['note', text('linked')]]
    // A workflow from elsewhere may name a file that is not here: ComfyUI marks that itself.
    if (!options?.values?.includes?.(value)) return []
    const found = facts.adapter(value, statedBy(this.#node))
    if (found === null) return [['note', text('loading')]]
    if (found.error !== undefined) return [['warning', found.error || text('unreadable')]]
    const warning = misfit ? [['warning', text('misfit', misfit)]] : []
    return [...warning, ...describe(found, text)]
  }
}

function describe(adapter, text) {
  const { said } = adapter
  const shape = adapter.shared
    ? text('shared', { tokens: adapter.tokens_per_block, layers: adapter.layers.join(' + ') })
    : text('blocks', {
        count: adapter.depth,
        tokens: adapter.tokens_per_block,
        placement: text(`placement.${adapter.placement}`)
      })
  const more = [
    adapter.buckets ? text('timed', { count: adapter.buckets }) : text('untimed'),
    adapter.banks > 1 && text('banks'),
    text('parameters', { count: compact(adapter.parameters) })
  ]
  const training = [
    said.objective &&
      text('trained', { objective: OBJECTIVES[said.objective] ?? said.objective }),
    said.base_model && text('on', { model: said.base_model }),
    said.steps && text('steps', { count: said.steps }),
    said.pairs && text('pairs', { count: said.pairs }),
    said.author,
    said.date?.slice(0, 10)
  ].filter(Boolean)
  const lines = [
    ['heading', adapter.family],
    ['line', shape],
    ['line', more.filter(Boolean).join(' · ')]
  ]
  const trained = said.objective || said.base_model || said.steps
  return [...lines, ['line', trained ? training.join(' · ') : text('unstated')]]
}

/** 1234567 as "1.2 M". */
function compact(count) {
  if (count < 1000) return String(count)
  const [divisor, unit] = count < 1e6 ? [1e3, 'k'] : [1e6, 'M']
  return `${Number((count / divisor).toFixed(1))} ${unit}`
}
