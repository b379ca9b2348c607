/** A run of Train SoftREPA Adapter while it runs: loss, accuracy and the strip of previews. The server
 * sends all of it each time, so a page that is opened later shows the same. */

import { svg } from '../elements/chart.js'
import { element, addPanel, keepShown } from '../elements/panel.js'

export const EVENT = 'softrepa.train'
const HEIGHT = 320
const PLOTS = [
  { key: 'loss', heldOut: 'val_loss' },
  { key: 'accuracy', heldOut: 'val_accuracy', bounds: [0, 1] }
]

export class TrainingView {
  #node
  #shared
  #content = element('div', 'softrepa-training')
  #head = element('div', 'softrepa-head')
  #plots = element('div', 'softrepa-plots')
  #previews = element('img', 'softrepa-previews')
  #film = element('a', 'softrepa-film', '', { target: '_blank', rel: 'noopener' })
  #strip = element('div', 'softrepa-strip')
  #told = null

  constructor(node, shared) {
    this.#node = node
    this.#shared = shared
    this.#strip.hidden = true
    this.#film.append(this.#previews)
    this.#strip.append(this.#film)
    this.#strip.addEventListener('wheel', (event) => sideways(this.#strip, event))
    this.#previews.addEventListener('load', () => this.#strip.scrollTo({ left: this.#strip.scrollWidth }))
    // A server that was started anew has emptied its temp.
    this.#previews.addEventListener('error', () => (this.#strip.hidden = true))
    this.#content.append(this.#head, this.#plots, this.#strip)
    addPanel(shared.app, node, 'softrepa_training', this.#content, { height: HEIGHT, grows: true })
  }

  /** told: the server's message, see nodes/training/watching.py. */
  take(told) {
    this.#told = told
    this.refresh()
  }

  refresh() {
    const { app, text } = this.#shared
    keepShown(app, this.#node, this.#content)
    if (!this.#told) {
      this.#head.textContent = text('trainIdle')
      return
    }
    const { step, steps, left, said, curve, previews } = this.#told
    const values = { step, steps, left: duration(left ?? 0) }
    this.#head.textContent =
      left === null ? said : text(left ? 'trainStep' : 'trainDone', values)
    this.#plots.replaceChildren(...PLOTS.map((plot) => this.#plot(plot, curve, steps)))
    this.#strip.hidden = !previews
    if (previews) this.#show(app.api.apiURL(`/view?${new URLSearchParams(previews)}`))
  }

  #show(address) {
    if (this.#previews.getAttribute('src') === address) return
    this.#previews.src = this.#film.href = address
    this.#previews.alt = this.#film.title = this.#shared.text('trainPreviews')
  }

  #plot({ key, heldOut, bounds }, curve, steps) {
    const { text } = this.#shared
    const [own, checked] = [curve[key], curve[heldOut]]
    const range = bounds ?? rangeOf([...own, ...checked])
    const head = element('div', 'softrepa-head')
    head.append(element('span', '', `${text(key)} ${reading(own)}`))
    if (checked.length) {
      head.append(element('span', 'softrepa-checked', `${text('heldOut')} ${reading(checked)}`))
    }
    const box = element('div', 'softrepa-plot')
    const picture = svg('svg', { viewBox: '0 0 100 100', preserveAspectRatio: 'none' })
    for (const [points, kind] of [[own, 'curve'], [checked, 'checked']]) {
      picture.append(svg('polyline', { points: placed(points, steps, range), class: `softrepa-${kind}` }))
    }
    box.append(picture)
    const whole = element('div', 'softrepa-training-plot')
    whole.append(head, box)
    return whole
  }
}

function placed(points, steps, [low, high]) {
  // A single point is drawn as a short line.
  const drawn = points.length === 1 ? [[points[0][0] - steps / 25, points[0][1]], points[0]] : points
  return drawn
    .map(([step, value]) => `${(step / steps) * 100},${((high - value) / (high - low)) * 100}`)
    .join(' ')
}

function rangeOf(points) {
  const values = points.map(([, value]) => value)
  if (!values.length) return [0, 1]
  const [low, high] = [Math.min(...values), Math.max(...values)]
  const room = (high - low) * 0.05 || 0.05
  return [low - room, high + room]
}

function reading(points) {
  return points.length ? points.at(-1)[1].toFixed(2) : '–'
}

/** The wheel moves a strip that is wider than its place; with a key it is the canvas's. */
function sideways(strip, event) {
  if (event.ctrlKey || event.metaKey || strip.scrollWidth <= strip.clientWidth) return
  strip.scrollLeft += event.deltaX || event.deltaY
  event.preventDefault()
  event.stopPropagation()
}

/** Seconds as 0:45, 12:05 or 1:02:00. */
function duration(seconds) {
  const whole = Math.round(seconds)
  const parts = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  const shown = parts[0] ? parts : parts.slice(1)
  return shown.map((part, at) => (at ? String(part).padStart(2, '0') : part)).join(':')
}
