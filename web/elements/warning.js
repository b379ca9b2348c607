/** The one line that says that adapter and model do not fit. */

import { element } from './panel.js'

export function warningLine(text) {
  const line = element('div', 'softrepa-warning', '', { role: 'alert', title: text })
  line.append(element('i', 'pi pi-exclamation-triangle'), element('span', '', text))
  return line
}
