"""Adapter files: any known kind is read, the native one written; what a file says of itself."""

from .reading import SUFFIXES, partner, read
from .torch_pickle import read_torch_pickle
from .writing import encode, write, write_new

__all__ = [
    "SUFFIXES",
    "encode",
    "partner",
    "read",
    "read_torch_pickle",
    "write",
    "write_new",
]
