/** Blocks to click and a curve to drag, below the widgets of both Apply nodes. */

import { BlockStrip } from '../elements/block_strip.js'
import { Chart, clamp } from '../elements/chart.js'
import { addPanel, element, keepShown, setWidget } from '../elements/panel.js'
import { warningLine } from '../elements/warning.js'
import { feeding, isLinked, widgetOf } from '../facts/graph.js'
import { readKeyframes, short, strengthAt } from '../notation/keyframes.js'
import { readLayers, splitBlock } from '../notation/layers.js'
import { outline } from './schedule_curve.js'

const HEIGHT = 216

export class ApplyControls {
  #node
  #shared
  #content = element('div', 'softrepa-controls')
  #warning = element('div')
  #strip
  #chart
  #handles = []

  constructor(node, shared) {
    this.#node = node
    this.#shared = shared
    this.#strip = new BlockStrip((layers) => this.#set('layers', layers), shared.text)
    this.#chart = new Chart({
      move: (index, share, strength) => this.#move(index, share, strength),
      settle: () => this.#drawCurve()
    })
    this.#content.append(this.#warning, this.#strip.element, this.#chart.element)
    addPanel(shared.app, node, 'softrepa_controls', this.#content, { height: HEIGHT, grows: true })
  }

  /** found: what is known of adapter and model, see fit.js. */
  refresh(found) {
    const { app, text } = this.#shared
    keepShown(app, this.#node, this.#content)
    const warning = found.misfit ? text('misfit', found.misfit) : ''
    if (this.#warning.textContent !== warning) {
      this.#warning.replaceChildren(...(warning ? [warningLine(warning)] : []))
    }
    const layers = String(this.#value('layers') ?? '')
    this.#strip.show({ ...this.#choices(found), layers })
    this.#drawCurve()
  }

  #value(name) {
    return widgetOf(this.#node, name)?.value
  }

  #set(name, value) {
    setWidget(this.#shared.app, this.#node, widgetOf(this.#node, name), value)
  }

  #choices({ adapter, model, misfit, loaders }) {
    const { text } = this.#shared
    const none = { blocks: [], trained: [] }
    const connected = isLinked(this.#node, 'adapter')
    if (isLinked(this.#node, 'layers')) return { ...none, note: text('linked') }
    if (!connected) return { ...none, note: text('noAdapter') }
    if (!adapter?.architecture) return { ...none, note: loaders.length ? '' : text('madeHere') }
    if (!adapter.shared) {
      const blocks = adapter.layers.every((name) => splitBlock(name)[1] >= 0) ? adapter.layers : []
      return { blocks, trained: blocks, note: null }
    }
    const blocks = model && !misfit ? model.blocks : adapter.blocks
    try {
      return { blocks, trained: [...readLayers(adapter.layers.join(','), blocks).keys()], note: null }
    } catch {
      return { ...none, note: '' } // trained for a block that this model has not
    }
  }

  #drawCurve() {
    const { text } = this.#shared
    const [strength, start, end] = ['strength', 'start_percent', 'end_percent'].map((name) =>
      Number(this.#value(name) ?? 0)
    )
    const factor = this.#schedule()
    const whole = start <= 0 && end >= 1
    const values = { strength: short(strength), start: short(start * 100), end: short(end * 100) }
    const reading = text(whole ? 'whole' : 'part', values)
    const scheduled = isLinked(this.#node, 'schedule') ? ` ${text('scheduled')}` : ''
    const window = block(strength, start, end)
    this.#handles = this.#freeHandles(strength, start, end)
    this.#chart.show({
      title: text('strength'),
      reading: reading + scheduled,
      lines: factor
        ? [
            { points: window, kind: 'base' },
            { points: block(strength, start, end, factor), kind: 'curve' }
          ]
        : [{ points: window, kind: 'curve' }],
      handles: this.#handles
    })
  }

  /** Handles for those of the three values that no link sets. */
  #freeHandles(strength, start, end) {
    const { text } = this.#shared
    const middle = clamp((start + Math.max(start, end)) / 2, 0, 1)
    return [
      { name: 'strength', share: middle, strength, along: 'y', label: text('strengthHandle') },
      { name: 'start_percent', share: start, strength: strength / 2, along: 'x', label: text('startHandle') },
      { name: 'end_percent', share: end, strength: strength / 2, along: 'x', label: text('endHandle') }
    ].filter(({ name }) => widgetOf(this.#node, name) && !isLinked(this.#node, name))
  }

  #move(index, share, strength) {
    const { name } = this.#handles[index]
    if (name === 'strength') this.#set(name, strength)
    else if (name === 'start_percent') this.#set(name, Math.min(share, this.#value('end_percent')))
    else this.#set(name, Math.max(share, this.#value('start_percent')))
    this.#drawCurve()
  }

  /** The strengths of a SoftREPA Schedule that is connected and is for all blocks, or null. */
  #schedule() {
    const slot = (this.#node.inputs ?? []).findIndex(({ name }) => name === 'schedule')
    const [node, ...more] = feeding(this.#shared.app, this.#node, slot)
    if (more.length || node?.comfyClass !== 'SoftREPASchedule') return null
    const simple = ['keyframes', 'interpolation', 'layers', 'schedule'].every(
      (name) => !isLinked(node, name)
    )
    const points = readKeyframes(String(widgetOf(node, 'keyframes')?.value ?? ''))
    if (!simple || !points || widgetOf(node, 'layers')?.value?.trim()) return null
    const interpolation = widgetOf(node, 'interpolation')?.value
    return {
      shares: outline(points, interpolation).map(([share]) => share),
      at: (share) => strengthAt(points, interpolation, share)
    }
  }
}

/** 0, then the strength (times a schedule's) from start to end, then 0. */
function block(strength, start, end, factor = { shares: [], at: () => 1 }) {
  const inside = [start, ...factor.shares.filter((share) => share > start && share < end), end]
  const top = inside.map((share) => [share, strength * factor.at(share)])
  return end < start ? [[0, 0], [1, 0]] : [[0, 0], [start, 0], ...top, [end, 0], [1, 0]]
}
