"""demo/RIVALS.md: the tables of all rows, and sections that have a command of their own."""
