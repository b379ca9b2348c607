/** Strength (upwards) over the share of the sampling schedule (to the right), with handles. */

import { element } from './panel.js'

const SVG = 'http://www.w3.org/2000/svg'
const LOWEST = -10
const HIGHEST = 10

export class Chart {
  element = element('div', 'softrepa-chart')
  #plot = element('div', 'softrepa-plot')
  #picture = svg('svg', { viewBox: '0 0 100 100', preserveAspectRatio: 'none' })
  #title = element('span')
  #reading = element('span', 'softrepa-reading')
  #on
  #handles = []
  #range = [0, 1.25]
  #grabbed = null

  /** on: {move(handle, share, strength), add(share, strength), remove(handle)}; the last two may be
   * left out. share is 0 … 1; both are rounded to what the pointer can hit, finer with Shift. */
  constructor(on) {
    this.#on = on
    const head = element('div', 'softrepa-head')
    head.append(this.#title, this.#reading)
    this.#plot.append(this.#picture)
    this.element.append(head, this.#plot)
    this.#plot.addEventListener('pointerdown', (event) => this.#grab(event))
    this.#plot.addEventListener('pointermove', (event) => this.#drag(event))
    for (const kind of ['pointerup', 'pointercancel']) {
      this.#plot.addEventListener(kind, () => this.#release())
    }
    this.#plot.addEventListener('dblclick', (event) => this.#change(event))
    this.#plot.addEventListener('keydown', (event) => this.#key(event))
  }

  /** lines: [{points: [[share, strength], …], kind}], drawn in order. handles: [{share, strength,
   * label, along}], where along is "x", "y" or both, "xy". */
  show({ title, reading, hint, lines, handles, disabled = false }) {
    this.#title.textContent = title
    this.#reading.textContent = reading
    this.#plot.title = hint ?? ''
    this.element.classList.toggle('softrepa-disabled', disabled)
    // While a handle is held the scale stays, or the handle would run away from the pointer.
    if (this.#grabbed === null) this.#range = rangeOf(lines)
    this.#picture.replaceChildren(...this.#grid(), ...lines.map((line) => this.#line(line)))
    this.#place(disabled ? [] : handles)
  }

  #grid() {
    return [0, 1].map((strength) => {
      const y = this.#toY(strength)
      return svg('line', { x1: 0, x2: 100, y1: y, y2: y, class: 'softrepa-grid' })
    })
  }

  #line({ points, kind }) {
    const places = points.map(([share, strength]) => `${share * 100},${this.#toY(strength)}`)
    return svg('polyline', { points: places.join(' '), class: `softrepa-${kind}` })
  }

  /** The handles' elements are kept, so that one that is held or focused stays so. */
  #place(handles) {
    this.#handles = handles
    const old = [...this.#plot.querySelectorAll('.softrepa-handle')]
    handles.forEach(({ share, strength, label, along }, index) => {
      const button = old[index] ?? element('button', 'softrepa-handle', '', { type: 'button' })
      button.dataset.handle = String(index)
      button.dataset.along = along
      button.setAttribute('aria-label', label)
      button.style.left = `${share * 100}%`
      button.style.top = `${this.#toY(strength)}%`
      if (!old[index]) this.#plot.append(button)
    })
    old.slice(handles.length).forEach((button) => button.remove())
  }

  #toY(strength) {
    const [low, high] = this.#range
    return ((high - strength) / (high - low)) * 100
  }

  #at(event) {
    const box = this.#plot.getBoundingClientRect()
    const [low, high] = this.#range
    const share = clamp((event.clientX - box.left) / box.width, 0, 1)
    const strength = high - ((event.clientY - box.top) / box.height) * (high - low)
    const [shareStep, strengthStep] = event.shiftKey ? [0.001, 0.01] : [0.01, 0.05]
    return [round(share, shareStep), round(clamp(strength, LOWEST, HIGHEST), strengthStep)]
  }

  #grab(event) {
    const handle = event.target.closest('.softrepa-handle')
    if (event.button !== 0 || !handle) return
    this.#grabbed = Number(handle.dataset.handle)
    this.#plot.setPointerCapture(event.pointerId)
  }

  #drag(event) {
    if (this.#grabbed !== null) this.#on.move(this.#grabbed, ...this.#at(event))
  }

  #release() {
    if (this.#grabbed === null) return
    this.#grabbed = null
    this.#on.settle()
  }

  #change(event) {
    if (this.element.classList.contains('softrepa-disabled')) return
    const handle = event.target.closest('.softrepa-handle')
    if (handle) this.#on.remove?.(Number(handle.dataset.handle))
    else this.#on.add?.(...this.#at(event))
  }

  #key(event) {
    const index = Number(event.target.dataset?.handle ?? NaN)
    if (!this.#handles[index]) return
    const { share, strength } = this.#handles[index]
    const steps = { ArrowLeft: [-0.01, 0], ArrowRight: [0.01, 0], ArrowUp: [0, 0.05], ArrowDown: [0, -0.05] }
    const step = steps[event.key]
    if (step) this.#on.move(index, round(clamp(share + step[0], 0, 1), 0.001), round(strength + step[1], 0.01))
    else if (event.key === 'Delete' || event.key === 'Backspace') this.#on.remove?.(index)
    else return
    event.preventDefault()
    event.stopPropagation()
  }
}

/** From a little below the lowest strength, or 0, to a little above the highest, or 1. */
function rangeOf(lines) {
  const strengths = lines.flatMap(({ points }) => points.map(([, strength]) => strength))
  const [low, high] = [Math.min(0, ...strengths), Math.max(1, ...strengths)]
  const room = (high - low) * 0.15
  return [low - room, high + room]
}

export function svg(tag, attributes) {
  const made = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  return made
}

export function clamp(value, low, high) {
  return Math.min(Math.max(value, low), high)
}

function round(value, step) {
  return Number((Math.round(value / step) * step).toFixed(3))
}
