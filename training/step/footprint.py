"""The memory that predictions take beside the model's weights."""

from __future__ import annotations

import weakref
from contextlib import nullcontext
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ..model.denoiser import Denoiser, Text
from ..model.graph.options import training_options, with_adapter
from ..model.soft_tokens import SoftTokens
from .batches import Batch
from .engine import prepare, weighed


def bytes_of_prediction(
    denoiser: Denoiser,
    live: SoftTokens,
    latent: torch.Tensor,
    text: Text,
    checkpointing: bool,
    weight: float = 1.0,
    computed: bool = False,
) -> int:
    """The most that one prediction and its backward pass take at once on the model's device, in
    bytes, weights apart.

    latent: (1, C, h, w). computed: it is really made, on the model's device; else only its tensors'
    shapes are, which takes no memory, and seconds at any size. What libraries take inside an
    operation is not seen.
    """
    batch = Batch((0,), ("",), ((0,),), denoiser.timesteps // 2, torch.zeros_like(latent))
    task = prepare(denoiser, batch, latent, [text])
    conditions = task.conditions.take([0])
    shapes = nullcontext() if computed else _shapes_only()
    with shapes, denoiser.mutations(checkpointing), Watch(denoiser.device) as watch:
        tokens = live.copy(denoiser.device, trainable=True)
        application = weighed(denoiser.model, tokens, weight)
        options = training_options(denoiser.model, checkpointing, denoiser.place)
        options = with_adapter(options, application)
        prediction = denoiser.predict(task.noisy.x, task.noisy.sigma, conditions, options)
        torch.autograd.grad(prediction.sum(), list(tokens.tensors.values()))
    return watch.most


def _shapes_only() -> Any:
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode(allow_non_fake_inputs=True)


class Watch(TorchDispatchMode):
    """Bytes of the tensors that are made on a device meanwhile and still there.

    now: at this moment. most: at any moment so far.
    """

    def __init__(self, device: torch.device | None = None) -> None:
        super().__init__()
        self._kind = None if device is None else device.type
        self.most = self.now = 0
        self._there: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        if not any(given.alias_info for given in func._schema.returns):  # no view, nor in place
            for leaf in tree_leaves(found):
                if isinstance(leaf, torch.Tensor) and self._kind in (None, leaf.device.type):
                    self._add(leaf.untyped_storage())
        return found

    def _add(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._there:
            return

        def gone(_: Any) -> None:
            del self._there[key]
            self.now -= size

        self._there[key] = weakref.ref(storage, gone)
        self.now += size
        self.most = max(self.most, self.now)
