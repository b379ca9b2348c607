/** What the chosen adapter file is, below the list of Load SoftREPA Adapter. */

import { addPanel, chained, element, keepShown, setWidget } from '../elements/panel.js'
import { warningLine } from '../elements/warning.js'
import { isLinked, statedBy, widgetOf } from '../facts/graph.js'
import { madeWith, noteChosen, noted, noteRun, shortHash } from '../facts/version.js'

const HEIGHT = 88
const WAYS = ['blend', 'attention']
const OBJECTIVES = { softrepa: 'SoftREPA', agsm: 'AGSM' }

export class AdapterInfo {
  #node
  #shared
  #content = element('div', 'softrepa-info')
  #shown = ''
  #misfit = null
  #chosen = false // and not noted yet, for its facts are on the way
  #users = []

  /** shared: {app, facts, text}, the extension's own. */
  constructor(node, shared) {
    this.#node = node
    this.#shared = shared
    const panel = addPanel(shared.app, node, 'softrepa_info', this.#content, {
      height: HEIGHT,
      grows: true
    })
    this.#content.addEventListener('scroll', () => this.#showMore(), { passive: true })
    panel.beforeQueued = () => noteRun(node, this.#facts())
    const list = widgetOf(node, 'adapter')
    list.callback = chained(list.callback, () => this.#choose())
    // A new node's first choice is one, too; a copied node brings along what is noted of it.
    if (!shared.app.configuringGraph) queueMicrotask(() => noted(node) || this.#choose())
  }

  /** Notes the chosen file's version, now or as soon as it is known. */
  #choose() {
    const facts = this.#facts()
    this.#chosen = facts === null
    if (facts?.sha256) noteChosen(this.#node, facts)
  }

  /** Of the chosen file: null while they are not known, undefined where there is no such file. */
  #facts() {
    const { value, options } = widgetOf(this.#node, 'adapter') ?? {}
    const listed = options?.values?.includes?.(value) && !isLinked(this.#node, 'adapter')
    return listed ? this.#shared.facts.adapter(value, statedBy(this.#node)) : undefined
  }

  /** misfit: why a model downstream cannot take the adapter, or null. users: the Apply nodes that
   * take this adapter and no other. */
  refresh(misfit, users = []) {
    this.#misfit = misfit
    this.#users = users
    if (this.#chosen) this.#choose()
    keepShown(this.#shared.app, this.#node, this.#content)
    const lines = this.#lines(misfit)
    const shown = JSON.stringify(lines)
    if (shown === this.#shown) return
    this.#shown = shown
    this.#content.replaceChildren(...lines.map((line) => this.#row(line)))
    this.#showMore()
  }

  /** Lets the last line fade where the wheel brings more. */
  #showMore() {
    const { scrollHeight, scrollTop, clientHeight } = this.#content
    this.#content.classList.toggle('softrepa-more', scrollHeight - scrollTop > clientHeight + 2)
  }

  #row([kind, text, more]) {
    if (kind === 'warning') return warningLine(text)
    if (kind === 'changed') return this.#changed(text)
    if (kind === 'take') return this.#recommended(text, more)
    const row = element('div', `softrepa-${kind}`, text)
    if (more) row.append(element('span', 'softrepa-hash', shortHash(more), { title: more }))
    return row
  }

  /** The warning that the file is another one, which the user can agree to. */
  #changed(text) {
    const line = warningLine(text)
    const button = element('button', 'softrepa-agree', this.#shared.text('agree'), {
      type: 'button'
    })
    button.addEventListener('click', () => {
      const { canvas } = this.#shared.app
      canvas.emitBeforeChange()
      this.#choose()
      canvas.emitAfterChange()
      this.refresh(this.#misfit, this.#users)
    })
    line.append(button)
    return line
  }

  /** What the adapter recommends, as a button that takes it. */
  #recommended(text, values) {
    const hint = this.#shared.text('recommendedHint')
    const button = element('button', 'softrepa-take', text, { type: 'button', title: hint })
    button.addEventListener('click', () => this.#take(values))
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
    const { text } = this.#shared
    if (isLinked(this.#node, 'adapter')) return [['note', text('linked')]]
    const found = this.#facts()
    // A workflow from elsewhere may name a file that is not here: ComfyUI marks that itself.
    if (found === undefined) return []
    if (found === null) return [['note', text('loading')]]
    if (found.error !== undefined) return [['warning', found.error || text('unreadable')]]
    const warnings = misfit ? [['warning', text('misfit', misfit)]] : []
    const made = madeWith(this.#node, found)
    if (made) warnings.push(['changed', text('changed', { before: shortHash(made) })])
    return [...warnings, ...describe(found, text), ...this.#recommendation(found.said)]
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
    ['heading', adapter.family, adapter.sha256],
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
