"""The files of the example workflows."""

from __future__ import annotations

import json
from pathlib import Path

from .layouts import LAYOUTS

FOLDER = Path(__file__).resolve().parents[2] / "example_workflows"


def texts() -> dict[str, str]:
    """File name -> contents, of every workflow."""
    flows = [layout() for layout in LAYOUTS]
    return {
        f"{flow.name}.json": json.dumps(flow.json(), indent=2, ensure_ascii=False) + "\n"
        for flow in flows
    }


def write(folder: Path = FOLDER) -> list[Path]:
    """Writes every workflow and returns the files."""
    folder.mkdir(exist_ok=True)
    for name, text in texts().items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in texts()]
