"""Beside its rivals: ``python demo/rivals``, or ``python noxfile.py rivals``.

Paints and judges every row of `methods.METHODS` on its bases, appends what is found to
demo/rivals/rows.jsonl, leaves out what stands there, and puts the tables into demo/RIVALS.md.
``--minutes 9`` begins nothing after so long; ``--base``, ``--only`` and ``--prompts`` take a part;
``--seeds 3`` trains that often; ``--longer`` takes the longer prompts alone; ``--short`` is a quick
run of everything into ``--rows``, for CI. ``table`` only writes the page. Needs COMFYUI_PATH.
"""

from __future__ import annotations

import argparse
import importlib
import runpy
import sys
from dataclasses import replace
from pathlib import Path

PACK = Path(__file__).resolve().parents[2] / "host" / "pack.py"


def main(arguments: list[str]) -> int:
    """Run; 2 for a wrong command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("run", "table"), nargs="?", default="run")
    parser.add_argument("--base", choices=("sd3", "unet", "sd3-long"), help="one base only")
    parser.add_argument("--only", help="only methods whose name contains this")
    parser.add_argument("--seeds", type=int, default=1, help="trainings of each adapter")
    parser.add_argument("--minutes", type=float, help="begin no row after so many")
    parser.add_argument("--prompts", type=int, help="the first so many of the judged prompts (500)")
    parser.add_argument("--longer", action="store_true", help="only what is on longer prompts")
    parser.add_argument("--rows", type=Path, help="another file of rows; its page is printed")
    parser.add_argument("--short", action="store_true", help="few prompts and steps, for CI")
    options = parser.parse_args(arguments)
    if options.short and options.rows is None:
        parser.error("--short needs --rows: its figures are no findings")
    package = f"{runpy.run_path(str(PACK))['start']()}.demo.rivals"
    run = importlib.import_module(f"{package}.run")
    table = importlib.import_module(f"{package}.page.table")
    rows = options.rows or run.ROWS
    rows.parent.mkdir(parents=True, exist_ok=True)
    if options.command == "run":
        bench = importlib.import_module(f"{package}.bench")
        scale = bench.SHORT if options.short else bench.WHOLE
        if options.prompts is not None:
            scale = replace(scale, judged=options.prompts)
        bases = (options.base,) if options.base else run.bases()
        chosen = {"only": options.only, "longer": options.longer}
        run.run(rows, scale, bases, **chosen, seeds=options.seeds, minutes=options.minutes)
    if options.rows is None:
        table.show(rows)
    print(table.tables(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
