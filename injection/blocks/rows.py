"""Which sample's tokens and strength each row of text gets, where other packs give more rows than
samples.

A call of the model has one chunk of samples for each entry of `cond_or_uncond` (0 for a positive
prompt, 1 for a negative one), all of one length. Packs that add rows do it in two ways:

- Regional packs (attention couple) compute a chunk once for every region, in its place: of
  negative and positive become negative, positive, positive. Picture and text grow alike.
- NAG puts a second negative prompt behind the text, for the last samples. The picture stays.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from torch import Tensor, cat, float32

_COND, _UNCOND = 0, 1


def follow_rows(tokens: Tensor, queries: int, rows: int, cond_or_uncond: Sequence[int]) -> Tensor:
    """The tokens of each row of text.

    tokens: (N or 1, K, W), one row a sample of the call. queries: rows of the picture in this
    block. rows: rows of its text. Returns (rows, K, W). Slices only: no host sync.
    """
    if tokens.shape[0] == 1:
        return tokens.expand(rows, -1, -1)
    return _with_appended(_with_regions(tokens, queries, cond_or_uncond), rows)


def strength_of_rows(
    strength: float | Tensor, queries: int, rows: int, cond_or_uncond: Sequence[int]
) -> float | Tensor:
    """The strength of each row, (rows,), where it is another in each sample of the call, (N,); else
    as it is. The rest as in `follow_rows`."""
    if not isinstance(strength, Tensor) or not strength.dim():
        return strength
    return follow_rows(strength[:, None, None], queries, rows, cond_or_uncond).flatten()


def of_branches(sigma: Tensor, cond_or_uncond: Sequence[int], negative: float) -> float | Tensor:
    """`negative` for the samples of negative prompts, 1 for all others: a number where all samples
    are of one kind, else (N,). sigma: (N,). Nothing is copied to the device."""
    kinds = set(cond_or_uncond)
    if _UNCOND not in kinds or sigma.shape[0] % len(cond_or_uncond):
        return 1.0
    if kinds == {_UNCOND}:
        return negative
    length = sigma.shape[0] // len(cond_or_uncond)
    factors = (negative if kind == _UNCOND else 1.0 for kind in cond_or_uncond)
    return cat([sigma.new_full((length,), factor, dtype=float32) for factor in factors])


def _with_regions(tokens: Tensor, queries: int, cond_or_uncond: Sequence[int]) -> Tensor:
    samples, chunks = tokens.shape[0], len(cond_or_uncond)
    if queries == samples:
        return tokens
    if not chunks or samples % chunks:
        # Nothing tells the chunks apart: a whole multiple is the batch, several times.
        return tokens if queries % samples else tokens.repeat(queries // samples, 1, 1)
    length = samples // chunks
    for kinds in ({_COND}, {_UNCOND}, set(cond_or_uncond)):
        regions = _regions(queries // length, cond_or_uncond, kinds)
        if regions is not None and queries % length == 0:
            return cat(
                [
                    chunk.repeat(regions if kind in kinds else 1, 1, 1)
                    for chunk, kind in zip(tokens.chunk(chunks), cond_or_uncond, strict=True)
                ]
            )
    return tokens


def _regions(found: int, cond_or_uncond: Sequence[int], kinds: Collection[int]) -> int | None:
    """How often each chunk of these kinds is there, if `found` chunks are there in all."""
    growing = sum(kind in kinds for kind in cond_or_uncond)
    regions, rest = divmod(found - (len(cond_or_uncond) - growing), growing or 1)
    return regions if growing and regions >= 1 and not rest else None


def _with_appended(tokens: Tensor, rows: int) -> Tensor:
    there = tokens.shape[0]
    if rows <= there:
        return tokens[there - rows :]
    appended = rows - there
    # As many of the last samples as there are rows behind them, in their order.
    again = tokens.repeat(-(-appended // there), 1, 1)
    return cat((tokens, again[-appended:]))
