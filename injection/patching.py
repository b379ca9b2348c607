"""Applying an adapter to a ComfyUI model: checked against the model first, then put on a clone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from comfy.patcher_extension import WrappersMP, add_wrapper_with_key

from ..softrepa.adapter import Adapter
from ..softrepa.errors import AdapterError
from ..softrepa.families import describe
from ..softrepa.layers import choose_layers, parse_layers
from ..softrepa.schedule import Curve, Schedule, table
from .application import Application, BlockTokens
from .architectures import architecture_of
from .architectures.architecture import Architecture
from .wrapper import PATCHES, apply_model

STRENGTH_AS = ("blend", "attention")
"""What a strength is: a blend of each patched block's outputs with and without the tokens, or the
weight of the tokens in its attention."""
NEGATIVE_WEIGHT = (
    "Below 0 a strength has no meaning as a weight in attention: set strength_as to blend, or use "
    "strengths from 0 on."
)


def make_application(
    model: torch.nn.Module,
    adapter: Adapter,
    strength: float = 1.0,
    start_percent: float = 0.0,
    end_percent: float = 1.0,
    layers: str = "",
    bank: int | torch.Tensor = 0,
    schedule: Schedule | None = None,
    strength_as: str = STRENGTH_AS[0],
    negative_share: float = 1.0,
) -> Application:
    """An Application of this adapter to a `comfy.model_base.BaseModel`.

    schedule: multiplies the strength over time and blocks. strength_as: one of STRENGTH_AS.
    negative_share: of the strength, on negative prompts. Raises AdapterError where architecture,
    width or depth differ, or `layers` names what is not there; both model and adapter are then
    named. Also for a weight in attention below 0.
    """
    architecture = architecture_of(model)
    check_fit(architecture, model, adapter)
    blocks = _block_tokens(architecture.blocks(model), adapter, strength, layers)
    blocks, curves = _follow(blocks, schedule)
    if in_attention(strength_as):
        check_weights(blocks, curves, negative_share)
        blocks = {name: replace(block, in_attention=True) for name, block in blocks.items()}
    return Application(
        adapter=adapter,
        blocks=blocks,
        start_percent=start_percent,
        end_percent=end_percent,
        bank=bank,
        curves=curves,
        negative_share=negative_share,
    )


def apply(patcher: Any, application: Application) -> Any:
    """A clone of this `comfy.model_patcher.ModelPatcher` with the application on it."""
    patched = patcher.clone()
    if not application.blocks:
        return patched
    patched.set_model_patch(application, PATCHES)
    options = patched.model_options["transformer_options"]
    if not options.get("wrappers", {}).get(WrappersMP.APPLY_MODEL, {}).get(PATCHES):
        add_wrapper_with_key(WrappersMP.APPLY_MODEL, PATCHES, apply_model, options)
    return patched


def in_attention(strength_as: str) -> bool:
    """Whether this one of STRENGTH_AS is the weight in attention. Raises AdapterError."""
    if strength_as not in STRENGTH_AS:  # older versions of ComfyUI let any text pass
        raise AdapterError(
            f'"{strength_as}" is nothing a strength can be: choose {" or ".join(STRENGTH_AS)}.'
        )
    return strength_as == "attention"


def check_weights(
    blocks: Mapping[str, BlockTokens], curves: torch.Tensor | None, negative_share: float = 1.0
) -> None:
    """Raises AdapterError where a block's strength is below 0 at any time."""
    least = [
        block.strength
        if block.curve is None
        else float((curves[block.curve] * block.strength).min())
        for block in blocks.values()
    ]
    if min(least, default=0.0) < 0.0 or negative_share < 0.0:
        raise AdapterError(NEGATIVE_WEIGHT)


def check_fit(architecture: Architecture, model: torch.nn.Module, adapter: Adapter) -> None:
    """Raises AdapterError unless the adapter's shapes are those of the model."""
    widths = architecture.widths(model)
    trained = describe(adapter.architecture, adapter.width)
    found = describe(architecture.NAME, widths[0])
    if adapter.architecture != architecture.NAME or adapter.width not in widths:
        raise AdapterError(
            f"This adapter was trained for {trained}, but the model is {found}: "
            "load the checkpoint it was trained for, or an adapter for this model."
        )
    if adapter.offset_width != architecture.offset_width(model) and adapter.offsets is not None:
        raise AdapterError(
            f"This adapter adds its timestep offsets at width {adapter.offset_width}, but the model"
            f" is {found}: load the checkpoint it was trained for."
        )
    depth = len(architecture.blocks(model))
    if adapter.blocks > depth:
        raise AdapterError(
            f"This adapter was trained for {adapter.blocks} blocks of {trained}, but the model is "
            f"{found} with {depth}: load the checkpoint it was trained for."
        )


def _block_tokens(
    blocks: tuple[str, ...], adapter: Adapter, strength: float, layers: str
) -> dict[str, BlockTokens]:
    trained = ",".join(adapter.layers)
    if adapter.shared:
        weights = choose_layers(parse_layers(layers or trained), blocks)
        rows = dict.fromkeys(weights, 0)
    else:
        names = choose_layers(parse_layers(trained), blocks)
        weights = choose_layers(parse_layers(layers or trained), list(names))
        rows = {name: row for row, name in enumerate(adapter.layers)}
    return {
        name: BlockTokens(rows[name], strength * weight)
        for name, weight in weights.items()
        if strength * weight != 0.0
    }


def _follow(
    blocks: dict[str, BlockTokens], schedule: Schedule | None
) -> tuple[dict[str, BlockTokens], torch.Tensor | None]:
    """The blocks under a schedule, and the table of the curves they follow.

    What is constant becomes a number: strengths of 0 and 1 then cost no second pass.
    """
    fitted = {} if schedule is None or not blocks else schedule.fit(list(blocks))
    changing: list[Curve] = []
    followed: dict[str, BlockTokens] = {}
    for name, block in blocks.items():
        curve, weight = fitted.get(name, (Curve(((0.0, 1.0),)), 1.0))
        constant = curve.constant
        strength = block.strength * weight * (1.0 if constant is None else constant)
        if strength == 0.0:
            continue
        if constant is not None:
            followed[name] = BlockTokens(block.row, strength)
            continue
        if curve not in changing:
            changing.append(curve)
        followed[name] = BlockTokens(block.row, strength, changing.index(curve))
    return followed, table(changing) if changing else None
