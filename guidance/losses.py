"""What is asked of attention maps: each loss a function of the maps and the words' places.

maps: (h, w, N) float32, the share of its attention that a pixel gives to each of the N rows of
text, averaged over heads and layers. All are differentiable and give a tensor of no dimensions;
less is better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from .prompt.places import Places, Word

_SHARPEN = 100.0
_BESIDE = math.exp(-1.0)
"""The weight of a neighbour in the smoothing. The published code calls it sigma 0.5, and divides
the distance by 2 sigma before it squares it."""


def published(maps: Tensor, places: Places) -> Tensor:
    """Attend-and-Excite (arXiv 2301.13826): the worst word's 1 - highest attention, in 0 ... 1."""
    content = maps[..., list(places.content)].mul(_SHARPEN).softmax(-1)
    column = {place: index for index, place in enumerate(places.content)}
    words = [content[..., [column[place] for place in thing.noun]] for thing in places.things]
    highest = [smoothed(word.sum(-1), _BESIDE).amax() for word in words]
    return (1.0 - torch.stack(highest).amin()).clamp_min(0.0)


def smoothed(image: Tensor, beside: float) -> Tensor:
    """(h, w) -> (h, w): over 3 x 3 pixels, mirrored at the border. beside: 1's neighbours."""
    row = image.new_tensor((beside, 1.0, beside))
    kernel = torch.outer(row, row)
    padded = F.pad(image[None, None], (1, 1, 1, 1), mode="reflect")
    return F.conv2d(padded, (kernel / kernel.sum())[None, None])[0, 0]


def pairs(maps: Tensor, places: Places) -> Tensor:
    """SynGen (arXiv 2306.08877): an attribute's map like its thing's, both unlike other words'."""
    total = maps.new_zeros(())
    for thing in places.things:
        outside = [_spread(maps, (place,)) for place in places.text if place not in thing.places]
        noun = _spread(maps, thing.noun)
        apart = _apart(noun, outside)
        if not thing.attributes:
            total = total + apart
        for attribute in thing.attributes:
            word = _spread(maps, attribute)
            total = total + _divergence(word, noun) + (apart + _apart(word, outside)) / 2
    return total


def _apart(word: Tensor, outside: list[Tensor]) -> Tensor:
    if not outside:
        return word.new_zeros(())
    return -torch.stack([_divergence(word, other) for other in outside]).mean()


def overlap(maps: Tensor, places: Places) -> Tensor:
    """The mean over pairs of things of their maps' intersection over union, in 0 ... 1.

    Overlap is what arXiv 2410.20972 finds behind missing things; intersection and union are here
    the sums of the smaller and the larger of two maps that each sum to 1.
    """
    spread = [_spread(maps, thing.noun) for thing in places.things]
    shares = []
    for one, other in combinations(spread, 2):
        shared = torch.minimum(one, other).sum()
        shares.append(shared / torch.maximum(one, other).sum())
    return torch.stack(shares).mean()


def _spread(maps: Tensor, word: Word) -> Tensor:
    """Where a word's attention lies: (h * w,), of sum 1."""
    flat = maps[..., list(word)].mean(-1).flatten()
    return flat / flat.sum()


def _divergence(one: Tensor, other: Tensor) -> Tensor:
    """The mean of both Kullback-Leibler divergences."""
    least = torch.finfo(one.dtype).eps
    ratio = one.clamp_min(least).log() - other.clamp_min(least).log()
    return ((one - other) * ratio).sum() / 2


Loss = Callable[[Tensor, Places], Tensor]
LOSSES: Mapping[str, Loss] = {"published": published, "pairs": pairs, "overlap": overlap}
