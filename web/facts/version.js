/** Which file an adapter's name stood for. The loader's properties hold it, so it is saved with the
 * workflow and travels in every picture. Nothing is written when a workflow is only opened. */

import { isLinked, widgetOf } from './graph.js'

const NAME = 'softrepa_adapter'
const HASH = 'softrepa_sha256'
const BEFORE = 'softrepa_sha256_before'
const SHORT = 10

/** The first digits of a SHA-256, as many as other tools show. */
export function shortHash(hash) {
  return hash.slice(0, SHORT)
}

/** Notes that the name stands for this file from now on. facts: of the chosen adapter. */
export function noteChosen(node, { name, sha256 }) {
  node.setProperty(NAME, name)
  node.setProperty(HASH, sha256)
  delete node.properties[BEFORE]
}

/** Notes what is about to run. Where the workflow was made with another file, that one's hash is
 * kept beside it until the user has agreed. facts: of the chosen adapter, or null. */
export function noteRun(node, facts) {
  if (isLinked(node, 'adapter')) return forget(node)
  if (!facts?.sha256) return
  const { [HASH]: last, [BEFORE]: before } = node.properties
  const made = noted(node) === facts.name ? (before ?? last) : undefined
  noteChosen(node, facts)
  if (made !== undefined && made !== facts.sha256) node.setProperty(BEFORE, made)
}

/** The hash of the file that the workflow was made with, where it is another one now; else null. */
export function madeWith(node, facts) {
  if (noted(node) !== facts.name) return null
  const made = node.properties[BEFORE] ?? node.properties[HASH]
  return typeof made === 'string' && made !== facts.sha256 ? made : null
}

/** The name of the file that is noted, of the one that is chosen; undefined where there is none. */
export function noted(node) {
  const name = node.properties?.[NAME]
  return name === widgetOf(node, 'adapter')?.value ? name : undefined
}

function forget(node) {
  for (const property of [NAME, HASH, BEFORE]) delete node.properties[property]
}
