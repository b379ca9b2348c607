"""Captions made from captions: what differs from one in a single thing."""
