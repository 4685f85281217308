import { render } from 'preact'
import { App } from './app'
import { applyTheme } from './parts/shell'
import { onLinkClick } from './lib/router'

applyTheme()
document.addEventListener('click', onLinkClick)
render(<App />, document.getElementById('app')!)
