"""Training in the graph against what befalls it: a server that is killed, a user who interrupts.

    python noxfile.py benchmarks training_interrupted

Train SoftREPA Adapter runs in a real server on the demo world: once undisturbed; once with the
server killed (kill -9) at five random moments, started anew and Run pressed again each time; once
interrupted twenty times at random moments. What happened is printed; the adapters' bytes must be
equal, and what a kill loses are the steps since the last state. KILLS, INTERRUPTS and SEED in the
environment change how often, and when.
"""

from __future__ import annotations

import argparse
import os
import random
import runpy
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from comfyui_softrepa.host.server import Server

ROOT = Path(__file__).resolve().parents[2]
KILLS, INTERRUPTS, SEED = (
    int(os.environ.get(name, usual))
    for name, usual in (("KILLS", 5), ("INTERRUPTS", 20), ("SEED", 1))
)
STEPS, SAVED, PREVIEWS, PAIRS = 60, 5, 20, 12
NAME, FOLDER, CHECKPOINT = "adapter", "shapes", "demo.safetensors"
_OTHER = 0.25
"""Share of the disturbances that come before the first step of a start, or between two."""


def main() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    runpy.run_path(str(ROOT / "host" / "pack.py"))["start"]()
    os.environ["SOURCE_DATE_EPOCH"] = "1700000000"  # of the adapters, for equal bytes
    rng = random.Random(SEED)
    with tempfile.TemporaryDirectory() as folder:
        made = {
            "undisturbed": undisturbed(prepared(Path(folder) / "undisturbed")),
            f"killed {KILLS} times": killed(prepared(Path(folder) / "killed"), rng),
            f"interrupted {INTERRUPTS} times": interrupted(prepared(Path(folder) / "inter"), rng),
        }
    whole = made.pop("undisturbed")
    for name, found in made.items():
        print(f"{name}: {'equal' if found == whole else 'OTHER'} bytes", flush=True)
    return int(any(found != whole for found in made.values()))


def prepared(base: Path) -> Path:
    """A base directory with the pack, the demo world's checkpoint and pictures."""
    from comfyui_softrepa.demo import world
    from comfyui_softrepa.demo.models.base.join import make_checkpoint
    from comfyui_softrepa.host.server import install_pack

    make_checkpoint(base / "models" / "checkpoints" / CHECKPOINT)
    (base / "models" / "softrepa").mkdir()
    world.write_folder(base / "input" / FOLDER, PAIRS, seed=5)
    install_pack(base)
    return base


def graph() -> dict[str, Any]:
    from comfyui_softrepa.tests.graphs import training

    return training(
        NAME,
        CHECKPOINT,
        folder=FOLDER,
        settings={"save_every": SAVED},
        recipe="recommended",
        steps=STEPS,
        batch_size=3,
        resolution=64,
        validation=0.2,
        preview_every=PREVIEWS,
    )


def undisturbed(base: Path) -> bytes:
    with serving(base) as server:
        server.run(graph())
        return adapter(base)


def killed(base: Path, rng: random.Random) -> bytes:
    for number in range(KILLS):
        with serving(base) as server:
            server.queue(graph())
            at = moment(base, rng, lambda: server.process.poll() is not None)
            server.kill()
        told(f"kill {number + 1}", base, at)
    return undisturbed(base)


def interrupted(base: Path, rng: random.Random) -> bytes:
    with serving(base) as server:
        for number in range(INTERRUPTS):
            prompt = server.queue(graph())
            done = ended(server, prompt)
            at = moment(base, rng, done)
            if not done():
                server.interrupt()
            while not done():
                time.sleep(0.01)
            told(f"interrupt {number + 1}", base, at, server, prompt)
        server.run(graph())
        return adapter(base)


def serving(base: Path) -> Any:
    from comfyui_softrepa.host.server import serve

    return serve(Path(os.environ["COMFYUI_PATH"]), base)


def ended(server: Server, prompt: str) -> Callable[[], bool]:
    return lambda: bool(server.get(f"/history/{prompt}"))


def moment(base: Path, rng: random.Random, over: Callable[[], bool]) -> str:
    """Waits for some moment of a run: seconds after its start, or some way into a step."""
    if rng.random() < _OTHER:
        seconds = rng.uniform(0.0, 4.0)
        time.sleep(seconds)
        return f"{seconds:.2f} s after Run"
    wanted = steps(base) + rng.randint(1, 2 * STEPS // max(KILLS, INTERRUPTS))
    while steps(base) < wanted and not over():
        time.sleep(0.002)
    late = rng.uniform(0.0, 0.2)
    time.sleep(late)
    return f"{late:.2f} s after step {wanted}"


def told(what: str, base: Path, at: str, server: Server | None = None, prompt: str = "") -> None:
    state = saved(base)
    words = f"{what}: {at}; {steps(base)} steps in the log, {state} in the state"
    if server is not None:
        (entry,) = server.get(f"/history/{prompt}").values()
        kinds = [kind for kind, _ in entry["status"]["messages"]]
        words += f"; {kinds[-1].removeprefix('execution_')}"
    print(words, flush=True)


def steps(base: Path) -> int:
    from comfyui_softrepa.training.run.output.log import read_log

    log = read_log(base / "models" / "softrepa" / f"{NAME}.log.jsonl")
    return log[-1]["step"] if log else 0


def saved(base: Path) -> int:
    from comfyui_softrepa.training.run.output.state import read_run

    state = base / "models" / "softrepa" / f"{NAME}.state"
    return read_run(state)[0].step if state.is_file() else 0


def adapter(base: Path) -> bytes:
    return (base / "models" / "softrepa" / f"{NAME}.safetensors").read_bytes()


if __name__ == "__main__":
    sys.exit(main())
