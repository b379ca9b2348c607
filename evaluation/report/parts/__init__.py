"""Parts of the page that stand for themselves, and the markup that they share."""
