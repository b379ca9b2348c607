"""The anima_lora trainer's files: the two native keys, its own `ss_*` metadata.

Tokens (L, K, D) or (2, L, K, D) for the first L blocks of Anima's DiT, written over padding of
the cross-attention context; T = 14 or 100 buckets over sigma in [0, 1]. A file that does not say
where its tokens go has them at the end, as the trainer takes it.
"""

from __future__ import annotations

from ...adapter import PLACEMENTS, Adapter
from ...errors import AdapterError
from .content import Content


def recognises(content: Content) -> bool:
    return any(key.startswith("ss_") for key in content.metadata)


def read(content: Content) -> Adapter:
    content.check_choice("anima")
    tokens = content.tokens if content.tokens.dim() == 4 else content.tokens.unsqueeze(0)
    placement = content.metadata.get("ss_splice_position", "end_of_sequence")
    if placement not in PLACEMENTS["anima"]:
        raise AdapterError(
            f'{content.name} places its tokens "{placement}"; known are '
            f"{' and '.join(PLACEMENTS['anima'])}."
        )
    banks, blocks, _, width = tokens.shape
    return Adapter(
        tokens=tokens,
        offsets=content.split_offsets(banks, blocks, width),
        architecture="anima",
        placement=placement,
        layers=tuple(map(str, range(blocks))),
        metadata=content.metadata,
    )
