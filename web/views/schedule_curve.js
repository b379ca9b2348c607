/** The curve of SoftREPA Schedule, to drag: another way to write its `keyframes` text. */

import { Chart, clamp } from '../elements/chart.js'
import { addPanel, keepShown, setWidget } from '../elements/panel.js'
import { isLinked, widgetOf } from '../facts/graph.js'
import { readKeyframes, short, strengthAt, writeKeyframes } from '../notation/keyframes.js'

const HEIGHT = 130
const SMOOTHNESS = 64
const CLOSEST = 0.001

export class ScheduleCurve {
  #node
  #shared
  #chart

  constructor(node, shared) {
    this.#node = node
    this.#shared = shared
    this.#chart = new Chart({
      move: (index, share, strength) => this.#move(index, share, strength),
      add: (share, strength) => this.#add(share, strength),
      remove: (index) => this.#remove(index),
      settle: () => this.refresh()
    })
    const content = this.#chart.element
    addPanel(shared.app, node, 'softrepa_curve', content, { height: HEIGHT, grows: true })
  }

  refresh() {
    const { app, text } = this.#shared
    keepShown(app, this.#node, this.#chart.element)
    const points = this.#points()
    const linked = isLinked(this.#node, 'keyframes') || isLinked(this.#node, 'interpolation')
    const problem = linked ? text('linked') : points ? '' : text('noCurve')
    const interpolation = widgetOf(this.#node, 'interpolation')?.value
    this.#chart.show({
      title: text('schedule'),
      reading: problem,
      hint: problem ? '' : text('curveHint'),
      lines: problem ? [] : [{ points: outline(points, interpolation), kind: 'curve' }],
      handles: (problem ? [] : points).map(([share, strength]) => ({
        share,
        strength,
        label: text('point', { share: short(share * 100), strength: short(strength) }),
        along: 'xy'
      })),
      disabled: Boolean(problem)
    })
  }

  #points() {
    return readKeyframes(String(widgetOf(this.#node, 'keyframes')?.value ?? ''))
  }

  #move(index, share, strength) {
    const points = this.#points()
    // Keyframes follow one another, so one stops short of its neighbours.
    const least = index > 0 ? points[index - 1][0] + CLOSEST : 0
    const most = index < points.length - 1 ? points[index + 1][0] - CLOSEST : 1
    points[index] = [clamp(share, least, most), strength]
    this.#store(points)
  }

  #add(share, strength) {
    const points = this.#points()
    if (points.some(([place]) => Math.abs(place - share) < CLOSEST)) return
    this.#store([...points, [share, strength]].sort(([one], [other]) => one - other))
  }

  #remove(index) {
    const points = this.#points()
    if (points.length > 1) this.#store(points.toSpliced(index, 1))
  }

  #store(points) {
    const { app } = this.#shared
    setWidget(app, this.#node, widgetOf(this.#node, 'keyframes'), writeKeyframes(points))
    this.refresh()
  }
}

/** The curve as a line of points, from the schedule's beginning to its end. */
export function outline(points, interpolation) {
  const even = Array.from({ length: SMOOTHNESS + 1 }, (_, place) => place / SMOOTHNESS)
  const shares = interpolation === 'smooth' ? even : []
  const corners = points.flatMap(([share]) =>
    interpolation === 'step' ? [Math.max(share - 1e-6, 0), share] : [share]
  )
  return [...new Set([0, ...shares, ...corners, 1])]
    .sort((one, other) => one - other)
    .map((share) => [share, strengthAt(points, interpolation, share)])
}
