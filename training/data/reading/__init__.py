"""A folder's files as they are found: names, text, and the kinds of caption files there are."""
