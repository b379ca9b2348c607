"""The plan of a trial that is a pilot: its hash stands in the manifest."""

from __future__ import annotations

import hashlib
from pathlib import Path

PLAN = "pilot.toml"


def plan_hash(folder: Path) -> str | None:
    """SHA-256 of the plan that lies in a trial's folder; None where there is none."""
    path = folder / PLAN
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None
