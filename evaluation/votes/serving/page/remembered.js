/** What this browser remembers of the voter from one visit to the next, where it may: private
 * windows have no storage, and are asked again. */

export function remembered(key) {
  try {
    return localStorage.getItem(`softrepa.${key}`)
  } catch {
    return null
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(`softrepa.${key}`, value)
  } catch {
    // Nothing to do about it.
  }
}
