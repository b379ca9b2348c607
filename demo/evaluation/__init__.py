"""Prompts painted with and without an adapter, judged, and shown."""
