"""Editing with and without an adapter, on the demo world."""
