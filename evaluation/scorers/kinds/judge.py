"""The demo world's judge: the truth of a picture of that world, by geometry."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...trial import Prompt
from ..kind import Kind
from ..scorer import ScorerError

if TYPE_CHECKING:
    from ..scorer import Picture

UNIT = "1 where the picture shows all that the caption says, else 0"


class Judge:
    """`demo.world.judge.judge` as a scorer."""

    name, unit, batch, needs_expected = "judge", UNIT, 64, False

    def __init__(self, path: Path | None = None) -> None:
        try:
            from ....demo.world import judge, scenes
        except ImportError as error:
            # A release of the pack does not bring the demo world along.
            raise ScorerError(
                "The judge is part of the repository's demo world, which is not here: score with "
                "another scorer, or from a checkout of the repository."
            ) from error
        self._judge, self._mark = judge.judge, scenes.MARK
        sources = [Path(module.__file__).read_bytes() for module in (judge, scenes)]
        self.weights_sha256 = hashlib.sha256(b"".join(sources)).hexdigest()

    def score(
        self,
        pictures: Sequence[Picture],
        texts: Sequence[str],
        prompts: Sequence[Prompt] | None = None,
    ) -> list[float]:
        """As `Scorer.score`; 0 or 1. Raises ScorerError for a text that is no caption there."""
        return [
            float(self._judge(picture, self._scene(text)).all)
            for picture, text in zip(pictures, texts, strict=True)
        ]

    def _scene(self, text: str) -> Any:
        found = _scenes().get(text.removesuffix(self._mark).strip())
        if found is None:
            raise ScorerError(
                f'The judge cannot read "{text[:80]}": it knows the captions of the demo world '
                'only, such as "two red circles left of a blue square".'
            )
        return found

    def notes(self) -> list[str]:
        """None: it reads whole captions."""
        return []


@functools.cache
def _scenes() -> dict[str, Any]:
    from ....demo.world import scenes

    return {scenes.caption(scene): scene for scene in scenes.all_scenes()}


KIND = Kind("judge", UNIT, Judge, comfyui=False)
