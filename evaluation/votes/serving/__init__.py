"""The voting page in a browser: its files, the answers to its requests, and a server of its own."""
