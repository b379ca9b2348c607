"""A folder's pairs to look at: the node, its sheet, captions that are nearly equal."""

from .node import SoftREPADataset

__all__ = ["SoftREPADataset"]
