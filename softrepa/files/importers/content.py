"""What a file holds before anyone has said what it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ...errors import AdapterError


@dataclass(frozen=True)
class Content:
    """tokens and offsets as stored (2 to 4 dimensions; 2 dimensions or None), checked to be
    finite; metadata as the file has it, empty for a pickle. architecture: what the user says the
    adapter is for, a key of `adapter.PLACEMENTS`, or None for what the file tells."""

    name: str
    tokens: Tensor
    offsets: Tensor | None
    metadata: Mapping[str, str]
    architecture: str | None = None

    def check_choice(self, stated: str) -> None:
        """Raises AdapterError where the file states another architecture than the user."""
        if self.architecture not in (None, stated):
            raise AdapterError(
                f'{self.name} says that it is for architecture "{stated}", not '
                f'"{self.architecture}": set architecture to auto in Load SoftREPA Adapter.'
            )

    def split_offsets(self, banks: int, blocks: int, width: int) -> Tensor | None:
        """Offsets as (1 or banks, T, blocks, W) for tokens of this width.

        A second bank is taken to have offsets of its own only where the stored width is exactly
        twice `blocks * width`. Raises AdapterError where the width does not divide evenly.
        """
        if self.offsets is None:
            return None
        columns = self.offsets.shape[1]
        own = banks if columns == banks * blocks * width else 1
        return self.reshape_offsets(own, blocks)

    def reshape_offsets(self, banks: int, blocks: int) -> Tensor | None:
        """Offsets (T, banks * blocks * W) as (banks, T, blocks, W)."""
        if self.offsets is None:
            return None
        buckets, columns = self.offsets.shape
        if columns % (banks * blocks):
            raise AdapterError(
                f"{self.name} has timestep offsets {columns} wide, which does not divide among "
                f"{banks * blocks} block(s) of tokens: the two files do not belong together."
            )
        split = self.offsets.reshape(buckets, banks, blocks, columns // (banks * blocks))
        return split.transpose(0, 1).contiguous()
