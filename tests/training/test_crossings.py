"""A step never sends numbers between host and device within a row: on a GPU each such copy waits
for all that was asked of it. Seen on PyTorch's "meta" device, which is none of the host's."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from comfyui_softrepa.tests import golden_models
from comfyui_softrepa.tests.training.all_at_once import batch, soft_tokens
from comfyui_softrepa.training.model.denoiser import Denoiser
from comfyui_softrepa.training.model.graph.options import training_options
from comfyui_softrepa.training.objectives import AGSM, SoftREPA
from comfyui_softrepa.training.step.engine import Engine, prepare
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ROWS = 2
INDEXED = (torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default)


class Crossings(TorchDispatchMode):
    """Counts operations between the devices; what the host asks for is 1 everywhere.

    Numbers that were computed nowhere came from the host: a list as an index is a tensor that is
    made on the host and sent, which this device does without a word; from PyTorch 2.15 on with
    `lift_fresh`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.to_host = self.to_device = 0
        self._made: dict[int, torch.Tensor] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [one for one in tree_leaves((args, kwargs)) if isinstance(one, torch.Tensor)]
        away = any(one.device.type == "meta" for one in given)
        host = torch.device("cpu")
        if away and func is torch.ops.aten._local_scalar_dense.default:
            self.to_host += 1
            return 1.0
        if away and func is torch.ops.aten._to_copy.default and kwargs.get("device") == host:
            self.to_host += 1
            return torch.ones(given[0].shape, dtype=kwargs.get("dtype") or given[0].dtype)
        found = func(*args, **kwargs)
        made = [one for one in tree_leaves(found) if isinstance(one, torch.Tensor)]
        self._made |= {id(one): one for one in made}
        sent = func is torch.ops.aten.lift_fresh.default and away
        sent |= func in INDEXED and any(
            id(one) not in self._made for one in args[1] if one is not None
        )
        self.to_device += sent or len({one.device.type for one in (*given, *made)}) > 1
        return found


def elsewhere(golden: golden_models.Golden) -> Denoiser:
    """The golden model on the meta device."""
    denoiser = Denoiser(golden.patcher)
    # Newer cores' configurations cannot be copied.
    kept = golden.patcher.model.model_config
    denoiser.model = copy.deepcopy(golden.patcher.model, {id(kept): kept}).to("meta")
    denoiser.device, denoiser.sampling = torch.device("meta"), denoiser.model.model_sampling
    denoiser.sigmas = denoiser.sigmas.to("meta")
    return denoiser


@pytest.mark.parametrize(
    ("stem", "objective", "micro_batch", "looks"),
    [
        ("sd3_d2l2_128", SoftREPA(), 1, ROWS),  # one look a row: what need not be predicted again
        ("sd3_d2l2_128", SoftREPA(), 4, 0),
        ("sd3_d2l2_128", AGSM(), 1, ROWS),
        ("sd3_d2l2_128", AGSM(), 4, 1),
        ("sd15_111", SoftREPA(), 1, ROWS),
    ],
)
def test_nothing_crosses_within_a_row(stem, objective, micro_batch, looks) -> None:
    golden = golden_models.load(stem)
    denoiser = elsewhere(golden)
    live = soft_tokens(golden, objective.BANKS).copy("meta", trainable=True)
    average = live.copy("meta", trainable=False)
    task = prepare(denoiser, *batch(golden, ROWS))
    engine = Engine(denoiser, objective, micro_batch, training_options(denoiser.model, False))
    with Crossings() as crossings:
        engine.accumulate(task, live, average, range(ROWS))
    assert (crossings.to_device, crossings.to_host) == (0, looks)


def test_a_list_as_an_index_would_be_seen() -> None:
    away = torch.empty(4, 3, device="meta")
    with Crossings() as crossings:
        away[torch.arange(2, device="meta")]
        assert crossings.to_device == 0
        away[[0, 2]]
        torch.ones(2).to("meta")
    assert crossings.to_device == 2
