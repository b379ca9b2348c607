/** The front-end extension of ComfyUI-SoftREPA: what an adapter is, whether it fits the model, and
 * blocks and curves to click and drag. It writes the nodes' own widgets, so everything is reachable
 * without it, and notes in the loader's properties which file was meant. */

import { app } from '../../scripts/app.js'
import { whenChanged } from './elements/panel.js'
import { meeting } from './facts/fit.js'
import { allNodes } from './facts/graph.js'
import { Facts } from './facts/server.js'
import { textsFor } from './texts.js'
import { AdapterInfo } from './views/adapter_info.js'
import { ApplyControls } from './views/apply_controls.js'
import { ScheduleCurve } from './views/schedule_curve.js'
import { EVENT, TrainingView } from './views/training.js'
import { addVoteTab } from './views/vote_tab.js'

const VIEWS = {
  SoftREPALoader: AdapterInfo,
  SoftREPAApply: ApplyControls,
  SoftREPAApplyConditioning: ApplyControls,
  SoftREPASchedule: ScheduleCurve,
  SoftREPATrain: TrainingView
}

/** Milliseconds after which a value is set that was clicked: in some lists that is later than the
 * next frame, and later than the front-end itself looks for changes. */
const SETTLED = 250

function extension() {
  const views = new WeakMap()
  const locale = () => app.extensionManager?.setting?.get('Comfy.Locale')
  const shared = {
    app,
    facts: new Facts(app.api, () => refreshSoon()),
    text: (key, values) => textsFor(locale())(key, values)
  }
  let waiting = false

  function refreshSoon() {
    if (waiting) return
    waiting = true
    requestAnimationFrame(() => {
      waiting = false
      refresh()
    })
  }

  function refreshTwice() {
    refreshSoon()
    setTimeout(refreshSoon, SETTLED)
  }

  function refresh() {
    const ours = allNodes(app).filter((node) => views.has(node))
    const misfits = new Map()
    const users = new Map()
    for (const node of ours.filter((node) => views.get(node) instanceof ApplyControls)) {
      const found = meeting(shared, node)
      const [loader, ...more] = new Set(found.loaders)
      if (loader && !more.length) users.set(loader, [...(users.get(loader) ?? []), node])
      if (found.misfit) found.loaders.forEach((loader) => misfits.set(loader, found.misfit))
      views.get(node).refresh(found)
    }
    for (const node of ours) {
      const view = views.get(node)
      if (view instanceof ApplyControls) continue
      view.refresh(misfits.get(node) ?? null, users.get(node) ?? [])
    }
  }

  function tell(node, told) {
    // In a subgraph the server's id is a path, which ends in the node's own.
    const id = String(node).split(':').at(-1)
    const shown = allNodes(app).filter((node) => String(node.id) === id && views.has(node))
    for (const node of shown) views.get(node).take?.(told)
  }

  return {
    name: 'ComfyUI-SoftREPA',
    setup() {
      const style = document.createElement('link')
      style.rel = 'stylesheet'
      style.href = new URL('./softrepa.css', import.meta.url).href
      document.head.append(style)
      addVoteTab(shared)
      app.api.addEventListener('graphChanged', refreshSoon)
      // Files are trained and replaced in other windows, and while a graph waits to run.
      window.addEventListener('focus', () => shared.facts.renew())
      app.api.addEventListener('executed', ({ detail }) => {
        if (detail.output?.softrepa_sha256) shared.facts.renew()
        // What ComfyUI kept of an earlier run, too.
        for (const told of detail.output?.softrepa_training ?? []) tell(detail.node, told)
      })
      app.api.addEventListener(EVENT, ({ detail }) => tell(detail.node, detail))
      for (const kind of ['click', 'keyup']) {
        document.addEventListener(kind, refreshTwice, { capture: true, passive: true })
      }
    },
    nodeCreated(node) {
      const View = VIEWS[node.comfyClass]
      if (!View) return
      views.set(node, new View(node, shared))
      whenChanged(node, refreshSoon)
      refreshSoon()
    },
    afterConfigureGraph: refreshSoon,
    refreshComboInNodes() {
      shared.facts.forget()
      refreshSoon()
    }
  }
}

app.registerExtension(extension())
