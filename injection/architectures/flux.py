"""Flux.1, Flux.2 and Chroma: tokens stand beside the text of the double blocks.

All three are given sigma. Flux.1 and Chroma place their whole text at position 0; Flux.2 counts it
on its fourth axis, where appended tokens are counted on.
"""

from __future__ import annotations

from typing import Any

from comfy.ldm.chroma.model import Chroma
from comfy.ldm.flux.model import Flux

from ...softrepa.tokens import bucket_of_sigma
from ..blocks.joint_sequence import CountedOn, JointSequence, at_zero
from .double_blocks import DoubleBlocks

_TEXT_AXIS_OF_FLUX_2 = 3


def _counted(network: Any) -> tuple[int, ...]:
    """The axes on which the text's positions are counted."""
    # Older cores tell Flux.2 by its four axes alone.
    four = (_TEXT_AXIS_OF_FLUX_2,) if len(network.params.axes_dim) == 4 else ()
    return tuple(getattr(network.params, "txt_ids_dims", four))


def _after_the_text(network: Any) -> JointSequence:
    axes = len(network.params.axes_dim)
    return JointSequence(CountedOn(network.pe_embedder, _counted(network), axes))


def _is_flux_1(network: Any) -> bool:
    return not _counted(network)


def _is_flux_2(network: Any) -> bool:
    return _counted(network) == (_TEXT_AXIS_OF_FLUX_2,)


def unserved(network: Any) -> str | None:
    """The name of a model with Flux's network that neither row serves: its text is counted on two
    axes at once."""
    if not isinstance(network, Flux) or _is_flux_1(network) or _is_flux_2(network):
        return None
    return "Ovis-Image" if getattr(network.params, "yak_mlp", False) else "LongCat-Image"


def _hidden(network: Any) -> int:
    return network.hidden_size


def _at_zero(network: Any) -> JointSequence:
    return JointSequence(at_zero)


_BLOCKS = ("double_blocks", _hidden)
_ALIKE = {"joined": "single_blocks", "WRITES": True}
FLUX_1 = DoubleBlocks(
    "flux", bucket_of_sigma, Flux, *_BLOCKS, _at_zero, _is_flux_1, embeds=True, **_ALIKE
)
FLUX_2 = DoubleBlocks(
    "flux2", bucket_of_sigma, Flux, *_BLOCKS, _after_the_text, _is_flux_2, embeds=True, **_ALIKE
)
CHROMA = DoubleBlocks("chroma", bucket_of_sigma, Chroma, *_BLOCKS, _at_zero, **_ALIKE)
"""Chroma is always told a guidance of 0, by ComfyUI."""
