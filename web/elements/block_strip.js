/** The blocks an adapter acts on, to click: another way to write the `layers` text. */

import { readLayers, splitBlock, writeLayers } from '../notation/layers.js'
import { element } from './panel.js'

export class BlockStrip {
  element = element('div', 'softrepa-strip')
  #write
  #text
  #drawn = ''
  #blocks = []
  #trained = []
  #chosen = new Map()
  #painting = null

  /** write: called with the new `layers` text. text: the words. */
  constructor(write, text) {
    this.#write = write
    this.#text = text
    this.element.addEventListener('pointerdown', (event) => this.#begin(event))
    this.element.addEventListener('pointerover', (event) => this.#paint(blockAt(event)))
    this.element.addEventListener('dblclick', (event) => this.#alone(blockAt(event)))
    this.element.addEventListener('keydown', (event) => this.#key(event))
  }

  /** blocks: all that can be chosen. trained: those that an empty text means. note: what to show in
   * place of them, or null. */
  show({ blocks, trained, layers, note }) {
    this.#blocks = blocks
    this.#trained = trained
    let problem = note
    try {
      const chosen = readLayers(layers, blocks)
      this.#chosen = chosen.size ? chosen : new Map(trained.map((block) => [block, 1]))
    } catch (error) {
      this.#chosen = new Map()
      problem ??= this.#text('noBlock', { item: error.message })
    }
    const drawn = JSON.stringify([blocks, problem])
    if (drawn !== this.#drawn) this.#draw(problem)
    this.#drawn = drawn
    this.#mark(layers.trim() === '')
  }

  /** A click leaves the buttons where they are: a second one on another would be no double click. */
  #draw(problem) {
    const head = element('div', 'softrepa-head')
    head.append(element('span', '', this.#text('layers')))
    if (problem) head.append(element('span', 'softrepa-note', problem))
    if (this.#blocks.length) {
      const hint = { title: this.#text('allHint'), type: 'button' }
      head.append(element('button', 'softrepa-all', this.#text('all'), hint))
    }
    const focused = document.activeElement?.dataset?.block
    const inside = this.element.contains(document.activeElement)
    this.element.replaceChildren(head, ...this.#rows())
    if (inside && focused) this.#button(focused)?.focus()
  }

  #rows() {
    const rows = new Map()
    for (const block of this.#blocks) {
      const [group, number] = splitBlock(block)
      if (!rows.has(group)) rows.set(group, this.#row(group))
      const button = element('button', 'softrepa-block', String(number), { type: 'button' })
      button.dataset.block = block
      rows.get(group).append(button)
    }
    return rows.values()
  }

  #row(group) {
    const row = element('div', 'softrepa-blocks')
    if (group) row.append(element('span', 'softrepa-group', group))
    return row
  }

  #mark(all) {
    this.element.querySelector('.softrepa-all')?.setAttribute('aria-pressed', String(all))
    for (const button of this.element.querySelectorAll('.softrepa-block')) this.#fill(button)
  }

  #fill(button) {
    const { block } = button.dataset
    const weight = this.#chosen.get(block) ?? 0
    const shown = weight === 0 || weight === 1 ? '' : ` (${weight})`
    button.title = `${block}${shown}\n${this.#text('blockHint')}`
    button.setAttribute('aria-label', `${this.#text('layers')} ${block}${shown}`)
    button.setAttribute('aria-pressed', String(weight !== 0))
    // A weight shows as how full the block is; below 0 and above 1 it is as full as it gets.
    button.style.setProperty('--softrepa-weight', String(Math.min(Math.abs(weight), 1)))
    button.classList.toggle('softrepa-negative', weight < 0)
  }

  #button(block) {
    return [...this.element.querySelectorAll('button')].find((one) => one.dataset.block === block)
  }

  #begin(event) {
    if (event.button !== 0) return
    if (event.target.closest('.softrepa-all')) return this.#write('')
    const block = blockAt(event)
    if (!block) return
    // Whatever lies under the pointer while it is down becomes what the first block becomes.
    this.#painting = !this.#chosen.get(block)
    addEventListener('pointerup', () => (this.#painting = null), { once: true, capture: true })
    this.#paint(block)
  }

  #paint(block) {
    if (!block || this.#painting === null) return
    if (Boolean(this.#chosen.get(block)) === this.#painting) return
    this.#set(block, this.#painting)
  }

  #alone(block) {
    if (block) this.#store(new Map([[block, this.#chosen.get(block) || 1]]))
  }

  #key(event) {
    if (event.key !== 'Enter' && event.key !== ' ') return
    event.preventDefault()
    event.stopPropagation()
    const block = event.target.dataset?.block
    if (block) this.#set(block, !this.#chosen.get(block))
    else if (event.target.closest('.softrepa-all')) this.#write('')
  }

  #set(block, on) {
    const chosen = new Map(this.#chosen)
    if (on) chosen.set(block, 1)
    else chosen.delete(block)
    this.#store(chosen)
  }

  #store(chosen) {
    // An empty text means all blocks, so the last one stays.
    if (![...chosen.values()].some(Boolean)) return
    const whole =
      chosen.size === this.#trained.length && this.#trained.every((block) => chosen.get(block) === 1)
    this.#write(whole ? '' : writeLayers(chosen, this.#blocks))
  }
}

function blockAt(event) {
  return event.target.closest?.('.softrepa-block')?.dataset.block
}
