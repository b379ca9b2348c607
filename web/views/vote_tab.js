/** The voting page in ComfyUI's sidebar, where the front-end has one for packs. */

const NAME = 'softrepa-vote' // of the tab, and the class of what is in it
const ADDRESS = '/softrepa/vote/'

/** Adds the tab. The page in it is the one at /softrepa/vote, opened with the tab and not before. */
export function addVoteTab({ app, text }) {
  app.extensionManager?.registerSidebarTab?.({
    id: NAME,
    icon: 'pi pi-thumbs-up',
    title: text('vote'),
    tooltip: text('voteHint'),
    type: 'custom',
    render(panel) {
      // Front-ends may render anew what is there, which would load the page again.
      if (panel.querySelector(`.${NAME}`)) return
      panel.style.height = '100%'
      panel.replaceChildren(content(app.api.apiURL(ADDRESS), text))
    }
  })
}

function content(address, text) {
  const link = document.createElement('a')
  link.href = address
  link.target = '_blank'
  link.rel = 'noopener'
  link.textContent = text('voteApart')
  const page = document.createElement('iframe')
  page.src = address
  page.title = text('voteHint')
  const box = document.createElement('div')
  box.className = NAME
  box.append(link, page)
  return box
}
