"""Pictures beside each other, for people to look at: Pillow alone."""
