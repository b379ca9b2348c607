"""A painter and scorer in a process of its own, to be killed: `writer.py FOLDER`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main(folder: Path) -> None:
    """Paints and scores what is missing, and prints a line after each."""
    from comfyui_softrepa.evaluation import trial
    from comfyui_softrepa.tests.evaluation import made

    mine = trial.open_trial(folder)
    scored = {score.key for score in mine.scores()}
    for cell in mine.cells():
        if not mine.has(cell):
            mine.write(cell, made.png(cell, side=256))
            print(cell, flush=True)
        score = trial.Score(cell.arm, cell.prompt, cell.seed, "made", 1.0, "d" * 64)
        if score.key not in scored:
            mine.add_scores([score])


if __name__ == "__main__":
    spec = importlib.util.spec_from_file_location("softrepa_host_pack", ROOT / "host" / "pack.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.import_pack()
    main(Path(sys.argv[1]))
