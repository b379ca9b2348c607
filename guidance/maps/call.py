"""One call of the network that is looked at and then left: the maps of its attention."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import comfy.samplers
from comfy.patcher_extension import WrappersMP
from torch import Tensor

from ..prompt.conditions import constant, matching

RECORDER = "softrepa_attention_maps"
"""Our key in a call's `transformer_options`, and among its wrappers."""


class Complete(Exception):
    """All maps are there: what the network would do after them is of no use."""


class Recorder(Protocol):
    """Collects the maps of one call. wrapper: the `APPLY_MODEL` wrapper that does it."""

    wrapper: Callable[..., Tensor]

    def mean(self) -> Tensor | None:
        """(h, w, N) float32, over all heads and layers; None where nothing was recorded."""


def maps_of(
    guider: Any,
    text: Tensor,
    x: Tensor,
    sigma: Tensor,
    model_options: Mapping[str, Any],
    recorder: Callable[[], Recorder],
) -> Tensor | None:
    """The maps of a `comfy.samplers.CFGGuider`'s positive prompt with this text, differentiable.

    x: (1, C, h, w). None where the prompt does not act at this noise level.
    """
    for condition in matching(guider.conds, text):
        looking = recorder()
        options = _options(model_options, looking)
        try:
            comfy.samplers.calc_cond_batch(
                guider.inner_model, [[constant(condition)]], x, sigma, options
            )
        except Complete:
            pass
        maps = looking.mean()
        if maps is not None and maps.requires_grad:
            return maps
    return None


def _options(model_options: Mapping[str, Any], recorder: Recorder) -> dict[str, Any]:
    """A copy of a sampler's model options under which a call is recorded.

    Without what other packs wrap around whole calls (DeepCache): they count calls, or give an
    earlier call's output, and this call is left in its midst.
    """
    options = {**model_options.get("transformer_options", {}), RECORDER: recorder}
    wrappers = {kind: dict(by_key) for kind, by_key in options.get("wrappers", {}).items()}
    around = wrappers.setdefault(WrappersMP.APPLY_MODEL, {})
    around.pop("torch.compile", None)  # a compiled network cannot be left
    around.pop(RECORDER, None)
    around[RECORDER] = [recorder.wrapper]  # the last, and so the innermost
    options["wrappers"] = wrappers
    kept = {key: each for key, each in model_options.items() if key != "model_function_wrapper"}
    return {**kept, "transformer_options": options}
