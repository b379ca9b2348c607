"""The prompt: its words, where they stand in the text, and the conditioning that it is."""
