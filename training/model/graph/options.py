"""What a model is called with in training, through ComfyUI's own slots for patches: an attention
that has a backward pass, activation checkpointing, and no copies of weights in the graph."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from ....injection import Application, model_options
from ....injection.architectures import architecture_of
from ....injection.backward.uncopied_weights import UncopiedWeights, castable
from ...errors import BadInput
from .blocks import KEY, RecomputedBlocks
from .recompute import RecomputedModules, recomputed
from .rotation import differentiable


@dataclass(frozen=True, eq=False)
class PlainJointBlock:
    """The joint block itself, with or without checkpointing.

    ComfyUI checkpoints a joint block whenever a patch stands in its slot, and never otherwise. An
    adapter's patch stands in some slots, so that here the choice is made for all of them, and in
    the one way that is counted (see `step.footprint`).
    """

    block: torch.nn.Module
    checkpointed: bool

    def __call__(self, args: dict[str, Any], extra: dict[str, Any]) -> dict[str, Any]:
        given = (args["txt"], args["img"])
        more = {
            "c": args["vec"],
            "use_checkpoint": False,
            "transformer_options": args["transformer_options"],
        }
        again = self.checkpointed and torch.is_grad_enabled()
        with recomputed(self.block, given, more) if again else nullcontext():
            text, image = self.block(*given, **more)
        return {"txt": text, "img": image}


def training_options(
    model: torch.nn.Module, checkpointing: bool, place: torch.device | None = None
) -> dict[str, Any]:
    """`transformer_options` to train with; the adapter's patches wrap what is in them.

    checkpointing: of each block's graph only its inputs are kept. MMDiT blocks have a slot for it;
    a U-Net's have none, and get hooks for each call. place: where those of newer models' blocks lie
    meanwhile, as `Denoiser.place` has it. Raises BadInput for other networks.
    """
    network, architecture = model.diffusion_model, architecture_of(model)
    blocks = getattr(network, "joint_blocks", None)
    layers = architecture.layers(model)
    again = (layers or _recomputable(network)) if checkpointing else ()
    outside = set(network.modules()).difference(*(block.modules() for block in again))
    options: dict[str, Any] = differentiable(architecture.NAME, _attention())
    if blocks is not None:
        slots = {
            ("double_block", index): PlainJointBlock(block, checkpointing)
            for index, block in enumerate(blocks)
        }
        options["patches_replace"] = {"dit": slots}
    elif again:
        _wrap(options, RecomputedBlocks(layers, place) if layers else RecomputedModules(again))
    if architecture.WRITES and not again:
        return options  # its graph is kept by `Denoiser.mutations`
    # Recomputed blocks cast their weights anew anyway.
    _wrap(options, UncopiedWeights(tuple(one for one in castable(network) if one in outside)))
    return options


def room(model: torch.nn.Module, resolution: int, predictions: int) -> tuple[int, int]:
    """Bytes for the activations of so many predictions at once, by a rough count, where blocks are
    computed again: what a model that does not fit whole has to leave free. The second where the
    blocks' inputs lie in the main memory. (0, 0) where blocks are not computed again so."""
    architecture = architecture_of(model)
    layers = len(architecture.layers(model))
    sequence = (resolution // 16) ** 2 + 512
    one = predictions * sequence * architecture.widths(model)[0] * 2
    return (one * (layers + _ONE_BLOCK), one * _ONE_BLOCK) if layers else (0, 0)


_ONE_BLOCK = 40
"""A block's whole graph, times what is kept of it where it is computed again: 24 to 37 in the
models that `benchmarks/memory/memory_by_count.py` counts."""


def with_adapter(options: dict[str, Any], application: Application) -> dict[str, Any]:
    """Training's own options and an adapter's together: its wrapper is around those of training,
    whose hooks so see what it has put into a block."""
    from comfy.patcher_extension import merge_nested_dicts

    return merge_nested_dicts(model_options(application), options)


def recomputes(options: dict[str, Any]) -> bool:
    """Whether these are options under which blocks that write into their inputs are recomputed."""
    from comfy.patcher_extension import WrappersMP

    own = options.get("wrappers", {}).get(WrappersMP.APPLY_MODEL, {}).get(KEY, ())
    return any(isinstance(each, RecomputedBlocks) for each in own)


def with_inputs_in(options: dict[str, Any], place: torch.device) -> dict[str, Any] | None:
    """The same options with the inputs of recomputed blocks there; None where they are already, or
    no blocks are recomputed that way."""
    from comfy.patcher_extension import WrappersMP

    wrappers = options.get("wrappers", {})
    by_key = wrappers.get(WrappersMP.APPLY_MODEL, {})
    own = by_key.get(KEY, [])
    others = [
        replace(each, place=place) if isinstance(each, RecomputedBlocks) else each for each in own
    ]
    if all(was is now or was.place == place for was, now in zip(own, others, strict=True)):
        return None
    return {
        **options,
        "wrappers": {**wrappers, WrappersMP.APPLY_MODEL: {**by_key, KEY: others}},
    }


def _wrap(options: dict[str, Any], wrapper: Any) -> None:
    from comfy.patcher_extension import WrappersMP, add_wrapper_with_key

    add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, wrapper, options)


def _recomputable(network: torch.nn.Module) -> tuple[torch.nn.Module, ...]:
    """The blocks of a network that together hold nearly all that its graph keeps."""
    if hasattr(network, "joint_blocks"):
        return tuple(network.joint_blocks)
    from comfy.ldm.modules.attention import BasicTransformerBlock
    from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock, UNetModel

    if not isinstance(network, UNetModel):
        raise BadInput("--checkpointing is not there for this model: use a smaller --micro-batch.")
    kinds = (ResBlock, BasicTransformerBlock)
    return tuple(module for module in network.modules() if isinstance(module, kinds))


def _attention() -> dict[str, Any]:
    """PyTorch's own attention in place of what the server was started with: builds of xformers,
    sage and flash attention need have no backward pass. Nothing where it is used anyway."""
    from comfy.ldm.modules import attention

    if attention.optimized_attention is attention.attention_pytorch:
        return {}
    return {"optimized_attention_override": _pytorch_attention}


def _pytorch_attention(replaced: Callable[..., Any], *given: Any, **named: Any) -> Any:
    from comfy.ldm.modules.attention import attention_pytorch

    return attention_pytorch(*given, **named)
