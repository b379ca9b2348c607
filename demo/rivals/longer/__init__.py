"""Longer prompts: what they say, and a base that has read such."""
