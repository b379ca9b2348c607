"""The example workflows: laid out and written here, and their thumbnails painted."""
