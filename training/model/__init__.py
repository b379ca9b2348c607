"""The base model as training sees it: found, loaded and asked; and the tokens put into it."""
