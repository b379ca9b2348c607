"""The parameters in training: soft tokens and their timestep offsets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ...softrepa.adapter import Adapter

START_STD = 0.02
BUCKETS = 100


@dataclass(frozen=True, eq=False)
class SoftTokens:
    """Parameters and the adapter that holds them.

    adapter: its tensors are these very parameters, so that the nodes' own code puts live tokens
        into the model.
    """

    adapter: Adapter

    @property
    def tensors(self) -> dict[str, Tensor]:
        """By name: `tokens` (banks, L, K, D) and, where there are any, `offsets` (1, T, L, W)."""
        named = {"tokens": self.adapter.tokens}
        if self.adapter.offsets is not None:
            named["offsets"] = self.adapter.offsets
        return named

    def copy(self, device: torch.device | str, trainable: bool) -> SoftTokens:
        """These numbers in tensors of their own."""

        def own(tensor: Tensor | None) -> Tensor | None:
            if tensor is None:
                return None
            return tensor.detach().to(device, copy=True).requires_grad_(trainable)

        tokens, offsets = own(self.adapter.tokens), own(self.adapter.offsets)
        return SoftTokens(replace(self.adapter, tokens=tokens, offsets=offsets))

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Overwrites the parameters in place."""
        for name, tensor in self.tensors.items():
            tensor.copy_(tensors[name])

    @torch.no_grad()
    def average(self, live: SoftTokens, decay: float) -> None:
        """decay · self + (1 − decay) · live, in place: the moving average of AGSM."""
        for name, tensor in self.tensors.items():
            tensor.lerp_(live.tensors[name], 1.0 - decay)


def initial_tokens(
    *,
    banks: int,
    rows: int,
    tokens: int,
    width: int,
    offset_width: int | None,
    architecture: str,
    placement: str,
    layers: tuple[str, ...],
    generator: torch.Generator,
    bos: Tensor | None = None,
) -> SoftTokens:
    """What training starts from: N(0, 0.02), or copies of `bos`, (width,), as SD1.5 does.

    rows: L, the blocks with tokens of their own. offset_width: W, None for no timestep offsets.
    Both banks start alike, so that AGSM's difference between them is learned.
    """
    start = torch.randn((1, rows, tokens, width), generator=generator) * START_STD
    if bos is not None:
        start = bos.to(torch.float32).expand_as(start)
    offsets = None
    if offset_width is not None:
        shape = (1, BUCKETS, rows, offset_width)
        offsets = torch.randn(shape, generator=generator) * START_STD
    return SoftTokens(
        Adapter(
            tokens=start.repeat(banks, 1, 1, 1),
            offsets=offsets,
            architecture=architecture,
            placement=placement,
            layers=layers,
        )
    )
