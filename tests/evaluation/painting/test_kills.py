"""kill -9 at random moments, two painters at once, and torchrun's ranks: the same pictures.

One process imports everything once and forks: a start takes longer than the painting.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from comfyui_softrepa.evaluation import trial
from comfyui_softrepa.evaluation.trial import records
from comfyui_softrepa.tests.evaluation.painting import studio

KILLS = 20
DRIVER = """
import importlib.util, json, os, random, signal, sys, time
from pathlib import Path
root, base, folder = (Path(each) for each in sys.argv[1:4])
spec = importlib.util.spec_from_file_location(
    "comfyui_softrepa", root / "__init__.py", submodule_search_locations=[str(root)])
package = importlib.util.module_from_spec(spec)
sys.modules[spec.name] = package
spec.loader.exec_module(package)
from comfyui_softrepa.evaluation.painting import here
here.start(None, ["--cpu"], base=base)
from comfyui_softrepa.evaluation import cli
from comfyui_softrepa.tests.evaluation.painting import studio
asked = studio.a_request(prompts="a blue square", seeds="1-16", steps=1)
from comfyui_softrepa.evaluation.painting.sources import graph as graphs
graphs.made(asked.graph, [["checkpoint", 0]])  # hashed once, not by every child

def forked(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            print(repr(error), file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    return child

def ended(child, flags=0):
    done, status = os.waitpid(child, flags)
    return os.waitstatus_to_exitcode(status) if done else None

def pictures(folder):
    return sum(1 for _ in folder.glob("pictures/*/*.png"))

def killed(folder, draw):
    more, delay = pictures(folder) + draw.choice((0, 1, 1)), draw.uniform(0, 0.08)
    child, code = forked(lambda: asked.paint(folder)), None
    while code is None and pictures(folder) < more:
        code = ended(child, os.WNOHANG)
        time.sleep(0.002)
    time.sleep(delay)
    if code is None:
        os.kill(child, signal.SIGKILL)
        code = ended(child)
    return code

draw = random.Random(0)
kills = [killed(folder / "killed", draw) for _ in range(int(sys.argv[4]))]
left = pictures(folder / "killed")
last = ended(forked(lambda: asked.paint(folder / "killed")))
few = asked.with_(seeds="1-4")
two = [forked(lambda: few.paint(folder / "two")) for _ in range(2)]
two = [ended(child) for child in two]

def ranked(rank):
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", LOCAL_RANK=str(rank))
    flags = ["--checkpoint", studio.CHECKPOINT, "--seeds=1-4", "--steps=1", "--guidance=4",
             "--scheduler=simple", "--width=64", "--height=64", "--cpu",
             f"--base-directory={base}", "--prompts=a blue square"]
    flags += [flag for arm in studio.ARMS for flag in ("--arm", arm)]
    os._exit(cli.main(["paint", str(folder / "ranks"), *flags]))

ranks = [forked(lambda rank=rank: ranked(rank)) for rank in range(2)]
ranks = [ended(child) for child in ranks]
print(json.dumps({"kills": kills, "left": left, "last": last, "two": two, "ranks": ranks}))
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="starts its painters by fork")


@pytest.fixture(scope="module")
def ran(base: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """The folder of all trials, and how their painters ended."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, "-c", DRIVER, str(studio.ROOT), str(base), str(folder), str(KILLS)]
    done = subprocess.run(
        command,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def unbroken(loaded: studio.Request, tmp_path_factory: pytest.TempPathFactory) -> dict:
    folder = tmp_path_factory.mktemp("unbroken") / "t"
    loaded.with_(prompts="a blue square", seeds="1-16", steps=1).paint(folder)
    return dict(studio.pixels(folder))


def test_killed_at_random_moments_the_pictures_are_the_same(ran, unbroken):
    folder, how = ran
    print(f"{how['kills'].count(-9)} kills, {how['left']} pictures by then")
    assert how["kills"].count(-9) >= KILLS // 4  # the others found nothing left to paint
    assert how["last"] == 0
    assert studio.pixels(folder / "killed") == unbroken
    _none_doubled(folder / "killed", lost=KILLS)


def test_two_painters_of_one_folder_double_nothing(ran, unbroken):
    folder, how = ran
    assert how["two"] == [0, 0]
    assert studio.pixels(folder / "two") == _few(unbroken)
    _none_doubled(folder / "two")


def test_the_ranks_of_torchrun_share_the_pictures(ran, unbroken):
    folder, how = ran
    assert how["ranks"] == [0, 0]
    assert studio.pixels(folder / "ranks") == _few(unbroken)
    _none_doubled(folder / "ranks")


def _few(pictures: dict) -> dict:
    return {
        k: v
        for k, v in pictures.items()
        if k.endswith(tuple(f"-{seed}.png" for seed in range(1, 5)))
    }


def _none_doubled(folder: Path, lost: int = 0) -> None:
    """Every picture is recorded once, but where its painter was killed before it could."""
    begun = trial.open_trial(folder)
    cells = list(begun.cells())
    told = [(e["arm"], e["prompt"], e["seed"]) for e in records.read(folder / "painted.jsonl")]
    assert len(set(told)) == len(told) and len(cells) - lost <= len(told) <= len(cells)
    remains = [path for path in (folder / "pictures").rglob("*") if path.name.startswith(".")]
    assert not remains
