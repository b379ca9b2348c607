"""Latents and text embeddings, computed once and kept in safetensors shards.

`build` computes what is missing and gives a `Cache` to read from; `expected` says how large
it will be. A shard is written to a temporary file and renamed, and what is present is read off the
complete shards, so a kill at any moment costs at most the shard at hand.
"""

from .build import Expected, build, expected
from .encoding import Encoder, Text
from .reading import Cache

__all__ = ["Cache", "Encoder", "Expected", "Text", "build", "expected"]
