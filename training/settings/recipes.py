"""--recipe: flags in one word. Every flag that is given besides wins over them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .families import UNETS

RECIPES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "published": (
            "--no-normalise",
            "--hard-share=0",
            "--learning-rate=1e-3",
            "--weight-decay=1e-4",
            "--schedule=cosine-restarts",
            "--cycle-steps=5000",
            "--min-learning-rate=1e-5",
            "--warmup-steps=0",
            "--resolution=512",
            "--latents=sampled",
            "--timesteps=uniform",
        ),
        "recommended": ("--hard-share=0.5", "--negatives=1"),
    }
)
"""published: the code of SoftREPA's authors, as far as it differs from the defaults. recommended:
what the tables of demo/RESULTS.md and training/README.md prefer, with `normalises`."""

OF_FAMILY: Mapping[str, tuple[str, ...]] = MappingProxyType({"recommended": ("normalise",)})
"""Flags that a recipe sets once the model's family is known: see `normalises`."""

OF_CAPTIONS = ("normalise", "hard-share", "negatives", "replay")
"""Flags of objectives that compare captions."""


def flags_of(recipe: str, compares: str) -> tuple[str, ...]:
    """A recipe's flags, as far as an objective that compares "captions" or "pictures" has them."""
    if compares == "captions":
        return RECIPES[recipe]
    return tuple(one for one in RECIPES[recipe] if _name(one) not in OF_CAPTIONS)


def normalises(recipe: str | None, objective: str, family: str) -> bool:
    """Whether a recipe, as `Settings.recipe` names it, sets --normalise for a family of models.

    SoftREPA on U-Nets has its own weight on the caption's error, and gains more without.
    """
    name = "" if recipe is None else recipe.partition(",")[0]
    if "normalise" not in OF_FAMILY.get(name, ()):
        return False
    return not (objective == "softrepa" and family in UNETS)


def _name(flag: str) -> str:
    return flag.partition("=")[0].removeprefix("--").removeprefix("no-")


OF_OBJECTIVE: Mapping[str, str] = MappingProxyType({"published": "softrepa"})
"""Recipes that belong to one objective."""
