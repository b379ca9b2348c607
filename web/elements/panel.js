/** Putting elements of ours below a node's own widgets, and writing those widgets' values. */

const MARGIN = 10
const NARROWEST = 300

/** A new element: tag, class, text and attributes. */
export function element(tag, className = '', text = '', attributes = {}) {
  const made = document.createElement(tag)
  if (className) made.className = className
  if (text) made.textContent = text
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  return made
}

/** Shows `content` below the node's widgets, in either node renderer. It has no value: nothing of
 * it is saved with a workflow or sent with a prompt.
 *
 * height: of the content, in pixels of an unscaled node. It never changes with what is shown, since
 * a node that grew by itself would be a change to undo. grows: whether it takes up room that the
 * user gives the node. Gives the widget that stands for it. */
export function addPanel(app, node, name, content, { height, grows = false }) {
  const room = height + 2 * MARGIN
  content.classList.add('softrepa')
  if (grows) content.classList.add('widget-expands') // as Vue nodes call it
  content.style.setProperty('--softrepa-height', `${height}px`)
  const widget = node.addDOMWidget(name, 'SOFTREPA_PANEL', content, {
    serialize: false,
    hideInPanel: true, // else the panel of properties would take it out of the node
    hideOnZoom: true,
    margin: MARGIN,
    getMinHeight: () => room,
    getMaxHeight: () => (grows ? undefined : room),
    getValue: () => '',
    setValue: () => {}
  })
  widget.serialize = false
  keepFromCanvas(app, content)
  const [width, least] = node.computeSize()
  node.setSize([Math.max(node.size[0], width, NARROWEST), Math.max(node.size[1], least)])
  return widget
}

/** Puts the panel where the page still shows that of an earlier node of the same id, as Vue nodes do
 * after undo: they ask a node for its elements only once. */
export function keepShown(app, node, content) {
  if (content.isConnected || node.graph !== app.canvas?.graph) return
  const shown = document.querySelector(`.lg-node[data-node-id="${CSS.escape(node.id)}"] .softrepa`)
  shown?.replaceWith(content)
}

/** A click or drag in the panel is not one on the node; wheel and middle button move the canvas. */
function keepFromCanvas(app, content) {
  const inVueNode = () => content.closest('.lg-node') !== null
  for (const kind of ['pointerdown', 'pointermove', 'pointerup', 'dblclick', 'contextmenu']) {
    content.addEventListener(kind, (event) => {
      if (event.button !== 1) event.stopPropagation()
    })
  }
  content.addEventListener('pointerdown', (event) => {
    if (event.button === 1 && !inVueNode()) app.canvas.processMouseDown(event)
  })
  content.addEventListener(
    'wheel',
    (event) => {
      if (!inVueNode() && !scrolls(content, event)) app.canvas.processMouseWheel(event)
    },
    { passive: false }
  )
}

/** Whether the wheel moves what is in the panel: there is more, and no key asks for the canvas. */
function scrolls(content, { ctrlKey, metaKey }) {
  return !ctrlKey && !metaKey && content.scrollHeight > content.clientHeight
}

/** Sets a widget as if the user had typed the value. */
export function setWidget(app, node, widget, value) {
  const before = widget.value
  if (before === value) return
  widget.value = value
  widget.callback?.(value, app.canvas, node)
  node.onWidgetChanged?.(widget.name, value, before, widget)
  node.setDirtyCanvas(true, true)
}

/** Calls `after` whenever the node's values or links may have changed. */
export function whenChanged(node, after) {
  for (const widget of node.widgets ?? []) widget.callback = chained(widget.callback, after)
  node.onConnectionsChange = chained(node.onConnectionsChange, after)
  node.onConfigure = chained(node.onConfigure, after)
}

/** A function that calls `first`, where there is one, and then `after`. */
export function chained(first, after) {
  return function (...values) {
    const result = first?.apply(this, values)
    after()
    return result
  }
}
