"""What an adapter holds, in words and in numbers."""

from __future__ import annotations

from torch import Tensor

from ..adapter import Adapter
from ..families import describe
from .modelspec import without_pictures

STRENGTH = "softrepa.strength"
"""The metadata entry with the strength that the trainer's held-out pairs speak for."""
_LONGEST_VALUE = 200


def summary(adapter: Adapter) -> list[str]:
    """The adapter in a few lines of text: shapes, then norms, then what its file says of itself."""
    time = "none" if adapter.offsets is None else f"{adapter.buckets} timestep buckets"
    said = without_pictures(adapter.metadata)
    strength = [f"strength:   {said[STRENGTH]} recommended"] if STRENGTH in said else []
    per_bank = zip(("tokens", "tokens (negative)"), block_norms(adapter).tolist(), strict=False)
    return [
        f"for:        {describe(adapter.architecture, adapter.width)}",
        f"blocks:     {', '.join(adapter.layers)}{' (shared tokens)' if adapter.shared else ''}",
        f"tokens:     {adapter.tokens_per_block} a block, {adapter.placement.replace('_', ' ')}",
        f"banks:      {'positive and negative' if adapter.banks == 2 else 'positive'}",
        f"offsets:    {time}",
        f"parameters: {adapter.parameters}",
        *strength,
        *(f"norm of {name}: {', '.join(f'{norm:.3g}' for norm in row)}" for name, row in per_bank),
        *(f"{key}: {_shortened(value)}" for key, value in sorted(said.items())),
    ]


def _shortened(value: str) -> str:
    value = " ".join(value.split())
    return value if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]}…"


def block_names(adapter: Adapter) -> tuple[str, ...]:
    """A name for each of the L blocks; one for all where they share their tokens."""
    return (",".join(adapter.layers),) if adapter.blocks == 1 else adapter.layers


def block_norms(adapter: Adapter) -> Tensor:
    """(banks, L): the mean Euclidean norm of a block's tokens, without their offsets."""
    return adapter.tokens.norm(dim=-1).mean(dim=-1)


def time_norms(adapter: Adapter) -> Tensor | None:
    """(1 or banks, L, T): the Euclidean norm of each offset; None where time plays no part."""
    return None if adapter.offsets is None else adapter.offsets.norm(dim=-1).transpose(1, 2)
