"""Parts of the page that stand for themselves."""
