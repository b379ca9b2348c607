"""Nodes for adapters and their files: load, blend, save and look at one."""
