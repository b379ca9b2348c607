"""From settings and model to the tokens that are trained: which blocks, how wide, how begun."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from ...injection.architectures import architecture_of
from ...injection.architectures.unet import NAME as UNET
from ...softrepa.adapter import PLACEMENTS
from ...softrepa.errors import AdapterError
from ...softrepa.layers import choose_layers, parse_layers
from ..errors import BadInput
from ..objectives import OBJECTIVES
from ..settings.families import FAMILIES, family_of
from ..settings.randomness import torch_generator
from ..settings.values import Settings
from .soft_tokens import SoftTokens, initial_tokens


def family(model: Any) -> str:
    """The row of `FAMILIES` for this `comfy.model_base.BaseModel`. Raises BadInput."""
    try:
        architecture = architecture_of(model)
    except AdapterError as error:
        raise BadInput(str(error)) from None
    width = architecture.widths(model)[0]
    return family_of(architecture.NAME, width, type(model).__name__)


def distilled(model: Any, name: str) -> tuple[str, ...]:
    """A line where this `comfy.model_base.BaseModel`, from a file of this name, seems to be made
    for few steps or no guidance: such a model is no longer the one that the loss is about."""
    words = set(re.split(r"[^a-z0-9]+", name.lower()))
    told = sorted(words & _DISTILLED)
    embedded = architecture_of(model).guidance(model) is not None
    if not told and not embedded and not ("klein" in words and "base" not in words):
        return ()
    if embedded and not told:
        return (
            f"{name} is told its guidance, so it is distilled: it is trained at guidance 1, and "
            "an undistilled model of the family, where there is one, trains better",
        )
    return (
        f"{name} seems to be distilled ({', '.join(told) or 'klein without base'}): the base model "
        "it was made of trains better, and its adapters can be used with both",
    )


_DISTILLED = frozenset(
    "schnell turbo lightning hyper lcm dmd dmd2 flash distilled distill 4step 8step 4steps "
    "8steps".split()
)


def placement(settings: Settings, architecture: str) -> str:
    """As asked for, else the objective's."""
    choices = PLACEMENTS[architecture]
    if settings.placement is None:
        appended = OBJECTIVES[settings.objective].APPENDED and "append" in choices
        return "append" if appended else choices[0]
    if settings.placement not in choices:
        raise BadInput(
            f"--placement {settings.placement} is not for this model: choose "
            f"{' or '.join(choices)}."
        )
    return settings.placement


def chosen_layers(settings: Settings, model: Any) -> tuple[str, ...]:
    """The blocks to train, by name: one a row of tokens, or groups where a U-Net shares its own.

    The default of all but U-Nets is cut to the blocks it has. Raises BadInput.
    """
    architecture = architecture_of(model)
    blocks = architecture.blocks(model)
    text = settings.layers or ",".join(blocks)
    if architecture.NAME != UNET and text == FAMILIES["SD3"].layers:
        text = f"0-{min(4, len(blocks) - 1)}"
    try:
        choices = parse_layers(text)
        names = choose_layers(choices, blocks)
    except AdapterError as error:
        raise BadInput(f"--layers: {error}") from None
    if any(weight != 1.0 for weight in names.values()):
        raise BadInput("--layers takes no weights: those are chosen when the adapter is used.")
    if architecture.NAME != UNET or settings.per_block:
        return tuple(names)
    groups = tuple(choice.group for choice in choices if choice.first is None)
    if len(groups) == len(choices) or len(names) == 1:
        return tuple(dict.fromkeys(groups)) or tuple(names)
    raise BadInput(
        "--layers names single blocks, but a U-Net's blocks share their tokens: name input, middle "
        "or output, or give each block its own with --per-block."
    )


def check(settings: Settings, model: Any) -> None:
    """Raises BadInput where the completed settings do not fit the model."""
    architecture = architecture_of(model)
    chosen_layers(settings, model)
    placement(settings, architecture.NAME)
    if settings.start == "bos" and architecture.NAME != UNET:
        raise BadInput("--start bos is for U-Nets, whose tokens have the text's width: use normal.")


def tokens_for(settings: Settings, model: Any, bos: Tensor | None) -> SoftTokens:
    """The tokens that training starts from, on the CPU. `settings` must be completed.

    bos: the empty prompt's first embedding, (D,), needed for `--start bos`.
    """
    architecture = architecture_of(model)
    width = architecture.widths(model)[0]
    layers = chosen_layers(settings, model)
    return initial_tokens(
        banks=OBJECTIVES[settings.objective].BANKS,
        rows=len(layers) if architecture.NAME != UNET or settings.per_block else 1,
        tokens=settings.tokens,
        width=width,
        offset_width=architecture.offset_width(model) if settings.time_offsets else None,
        architecture=architecture.NAME,
        placement=placement(settings, architecture.NAME),
        layers=layers,
        generator=torch_generator(settings.seed, "tokens"),
        bos=bos if settings.start == "bos" else None,
    )
