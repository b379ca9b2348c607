"""Many tests at once."""

from __future__ import annotations

from collections.abc import Mapping


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """Holm's adjusted p by name: below alpha for any means below alpha for the whole family."""
    adjusted, highest = {}, 0.0
    for at, (name, p) in enumerate(sorted(values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, p * (len(values) - at)))
        adjusted[name] = highest
    return {name: adjusted[name] for name in values}
