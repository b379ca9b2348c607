"""Paints and judges what is missing, a JSON line a finding."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ...host.pack import ROOT
from ..models.unet_base import join
from ..sweep import grid
from .bench import BASES, Bench, Scale
from .longer import length, long_base
from .methods import METHODS, Method, methods

ROWS = Path(__file__).with_name("rows.jsonl")


def bases() -> tuple[str, ...]:
    """Those whose weights are here."""
    return tuple(name for name in BASES if name != "unet" or join.UNET.is_file())


ADAPTERS = ROOT / "build" / "rivals"
"""Where trained adapters are kept between runs."""


class Found:
    """The rows of a file, by what they are of."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.rows = grid.read(file)

    def row(self, **of: Any) -> dict[str, Any] | None:
        """The first row that has all these."""
        return next((row for row in self.rows if fits(row, of)), None)

    def has(self, prompts: int, **of: Any) -> bool:
        """Whether a row of these, of so many prompts or more, is there."""
        return any(fits(row, of) and len(row["verdicts"]["all"]) >= prompts for row in self.rows)

    def add(self, row: dict[str, Any]) -> None:
        with self._file.open("a") as lines:
            lines.write(json.dumps(row) + "\n")
        self.rows.append(row)
        share = row["verdicts"]["all"].count("1") / len(row["verdicts"]["all"])
        told = (row["base"], row["part"], row["method"], row["scale"], row["seed"])
        print(*told, f"{share:.1%}", f"{row['seconds']:.2f} s", flush=True)

    def best(self, base: str, method: Method) -> float | None:
        """The scale of most pictures right among those for choosing; None where one is missing.

        The smallest of equals.
        """
        if method.like is not None:
            return self.best(base, named(method.like))
        if len(method.scales) == 1:
            return method.scales[0]
        of: dict[str, Any] = {"base": base, "method": method.name, "part": "choosing"}
        if method.beneath is not None:
            of["beneath"] = self.best(base, named(method.beneath))
        tried = [self.row(**of, scale=scale) for scale in method.scales]
        if None in tried:
            return None
        return max(tried, key=lambda row: row["verdicts"]["all"].count("1"))["scale"]


def named(name: str) -> Method:
    """The method of this name."""
    return next(method for method in METHODS if method.name == name)


def fits(row: Mapping[str, Any], of: Mapping[str, Any]) -> bool:
    """Whether a row has all these."""
    return all(row.get(key) == wanted for key, wanted in of.items())


def run(
    file: Path,
    scale: Scale,
    bases: Sequence[str],
    only: str | None = None,
    seeds: int = 1,
    minutes: float | None = None,
    longer: bool = False,
) -> None:
    """Does what the file does not hold yet, seed by seed, as far as `minutes` reach. longer: only
    on longer prompts."""
    end = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    found = Found(file)
    adapters = ADAPTERS if file == ROWS else file.parent / f"{file.stem}.adapters"
    for base in bases:
        bench = Bench(base, scale, adapters)
        for part, method, scale_of, seed in _wanted(base, found, only, seeds):
            if longer and part not in length.KINDS:
                continue
            own, beneath = scale_of(), None
            if method.beneath is not None:
                beneath = found.best(base, named(method.beneath))
                if beneath is None:
                    continue
            of = {"base": base, "method": method.name, "part": part, "seed": seed, "scale": own}
            of["beneath"] = beneath
            if own is None or found.has(len(scale.scenes(part)), **of):
                continue
            if time.monotonic() > end:
                return
            found.add(bench.find(method, part, own, seed, beneath))


def _wanted(
    base: str, found: Found, only: str | None, seeds: int
) -> Iterator[tuple[str, Method, Callable[[], float | None], int | None]]:
    """Part, method, what tells its scale once that is chosen, and training seed, in order."""
    chosen = [method for method in methods(only) if _serves(method, base)]
    for seed in range(seeds):
        for method in chosen:
            if not method.trained and seed > 0:
                continue
            for value in method.scales if len(method.scales) > 1 else ():
                yield "choosing", method, partial(float, value), None
            own = seed if method.trained else None
            yield "judged", method, partial(found.best, base, method), own
        for kind in length.KINDS if base != "unet" else ():
            for method in chosen:
                if method.name in length.METHODS and (method.trained or seed == 0):
                    own = seed if method.trained else None
                    yield kind, method, partial(found.best, base, method), own


def _serves(method: Method, base: str) -> bool:
    """Whether the method is for this base; for the one that reads longer prompts, whether it is
    measured on these."""
    if base == long_base.NAME:
        return "sd3" in method.bases and method.name in length.METHODS
    return base in method.bases
