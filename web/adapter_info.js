/** What the chosen adapter file is, below the list of Load SoftREPA Adapter. */

import { isLinked, widgetOf } from './graph.js'
import { addPanel, element, keepShown, setWidget } from './panel.js'
import { warningLine } from './warning.js'

const HEIGHT = 88
const WAYS = ['blend', 'attention']
const OBJECTIVES = { softrepa: 'SoftREPA', agsm: 'AGSM' }

export class AdapterInfo {
  #node
  #shared
  #content = element('div', 'softrepa-info')
  #shown = ''
  #users = []

  /** shared: {app, facts, text}, the extension's own. */
  constructor(node, shared) {
    this.#node = node
    this.#shared = shared
    addPanel(shared.app, node, 'softrepa_info', this.#content, { height: HEIGHT, grows: true })
  }

  /** misfit: why a model downstream cannot take the adapter, or null. users: the Apply nodes that
   * take this adapter and no other. */
  refresh(misfit, users = []) {
    this.#users = users
    keepShown(this.#shared.app, this.#node, this.#content)
    const lines = this.#lines(misfit)
    const shown = JSON.stringify(lines)
    if (shown === this.#shown) return
    this.#shown = shown
    this.#content.replaceChildren(...lines.map((line) => this.#row(line)))
  }

  #row([kind, text, use]) {
    if (kind === 'warning') return warningLine(text)
    if (!use) return element('div', `softrepa-${kind}`, text)
    const hint = this.#shared.text('recommendedHint')
    const button = element('button', `softrepa-${kind}`, text, { type: 'button', title: hint })
    button.addEventListener('click', () => this.#take(use))
    return button
  }

  /** Sets widgets of the Apply nodes, by name, where no link does. */
  #take(values) {
    for (const node of this.#users) {
      for (const [name, value] of Object.entries(values)) {
        const widget = widgetOf(node, name)
        if (widget && !isLinked(node, name)) setWidget(this.#shared.app, node, widget, value)
      }
    }
  }

  #lines(misfit) {
    const { facts, text } = this.#shared
    const { value, options } = widgetOf(this.#node, 'adapter') ?? {}
    if (isLinked(this.#node, 'adapter')) return [['note', text('linked')]]
    // A workflow from elsewhere may name a file that is not here: ComfyUI marks that itself.
    if (!options?.values?.includes?.(value)) return []
    const found = facts.adapter(value)
    if (found === null) return [['note', text('loading')]]
    if (found.error !== undefined) return [['warning', found.error || text('unreadable')]]
    const warning = misfit ? [['warning', text('misfit', misfit)]] : []
    return [...warning, ...describe(found, text), ...this.#recommendation(found.said)]
  }

  #recommendation(said) {
    const strength = Number(said.strength || NaN)
    if (!(strength >= 0 && strength <= 10)) return []
    const told = this.#shared.text('recommended', { strength: said.strength })
    if (!this.#users.length) return [['line', told]]
    const known = WAYS.includes(said.strength_as)
    return [['take', told, { strength, ...(known && { strength_as: said.strength_as }) }]]
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
