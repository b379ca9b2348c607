"""Picture files: which can be read, whether they are whole, and how they are framed."""
