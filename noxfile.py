"""Development environments. `python noxfile.py tests` needs nothing but Python.

python noxfile.py tests        the whole test suite against a real ComfyUI; SOFTREPA_FRONTEND=newest
                               (or a version) for the newer of the two front-ends
python noxfile.py demo         the method at work, from a checkpoint to pictures
python noxfile.py sweep        the demo's table of settings, as far as it is not there yet
python noxfile.py rivals       the table of rivals, as far as it is not there yet: demo/RIVALS.md
python noxfile.py scorers      the scorers' tests with the oldest transformers that ComfyUI permits
python noxfile.py lint
python noxfile.py benchmarks
python noxfile.py gpu          what only a CUDA card can show, as a table in build/gpu.md
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent


def _load_host():
    """host/comfyui.py, by path: the repository is never on sys.path."""
    spec = importlib.util.spec_from_file_location("host_comfyui", ROOT / "host" / "comfyui.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


CACHE = _load_host().cache_folder()


def _scripts(environment: Path) -> Path:
    return environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _bootstrap(arguments: list[str]) -> int:
    """Runs nox from an environment of its own, made on first use."""
    environment = CACHE / "nox-launcher"
    python = _scripts(environment)
    if (
        subprocess.run([str(python), "-m", "nox", "--version"], capture_output=True).returncode
        if python.exists()
        else True
    ):
        venv.create(environment, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", "nox"], check=True)
    sessions = arguments[:1] or ["tests"]
    command = [str(python), "-m", "nox", "-f", __file__, "-s", *sessions, "--", *arguments[1:]]
    return subprocess.call(command)


if __name__ == "__main__":
    sys.exit(_bootstrap(sys.argv[1:]))

import nox  # noqa: E402  (only there once the launcher has installed it)

nox.options.envdir = str(CACHE / "nox")
nox.options.reuse_venv = "yes"
nox.options.sessions = ["tests"]
PYTHON = _scripts(CACHE / "nox" / "host")


@nox.session
def host(session: nox.Session) -> None:
    """ComfyUI, its requirements and the development tools; kept between runs."""
    folder = Path(session.run("python", "host/comfyui.py", silent=True).splitlines()[-1])
    listed = (folder / "requirements.txt").read_text().splitlines()
    # torchaudio's release asks for an older torch than it runs with, so it comes without deps.
    wanted = [line for line in listed if line.split("=")[0].strip() not in _PINNED]
    requirements = Path(session.create_tmp()) / "comfyui.txt"
    requirements.write_text("\n".join(wanted))
    own = ("requirements.txt", "host/requirements.txt")
    session.install(*(part for file in (str(requirements), *own) for part in ("-r", file)))
    session.install("--no-deps", "torchaudio==2.11.0")


_PINNED = {"torch", "torchvision", "torchaudio"}


def _run(session: nox.Session, *arguments: str) -> None:
    located = session.run(str(PYTHON), "host/comfyui.py", silent=True, external=True)
    session.env["COMFYUI_PATH"] = located.splitlines()[-1]
    session.run(str(PYTHON), *arguments, external=True)


@nox.session(venv_backend="none", requires=["host"])
def tests(session: nox.Session) -> None:
    """The whole suite, against a real ComfyUI."""
    # Its models are small: threads waiting for each other cost more than they give, above all on
    # shared cores.
    session.env["OMP_NUM_THREADS"] = "1"
    # ComfyUI is started some forty times: compiling it each time takes a second longer.
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
    _run(session, "-m", "ruff", "check", ".")
    _run(session, "host/chromium.py")
    # Two processes, each with a server of its own: `-n 0` for one, and any other number.
    _run(session, "-m", "pytest", "tests", "-n", "2", *session.posargs)


@nox.session(requires=["host"])
def scorers(session: nox.Session) -> None:
    """The scorers with the oldest transformers that ComfyUI permits; all else is the host's."""
    purelib = "import sysconfig; print(sysconfig.get_path('purelib'))"
    behind = session.run(str(PYTHON), "-c", purelib, silent=True, external=True).strip()
    own = session.run("python", "-c", purelib, silent=True).strip()
    # Last on the path: what this environment has itself comes first.
    Path(own, "zz_host.pth").write_text(behind + "\n")
    session.install("--no-deps", *OLDEST_TRANSFORMERS)
    located = session.run(str(PYTHON), "host/comfyui.py", silent=True, external=True)
    session.env["COMFYUI_PATH"] = located.splitlines()[-1]
    session.run("python", "-m", "pytest", "tests/evaluation/scorers", *session.posargs)


OLDEST_TRANSFORMERS = (
    "transformers==4.50.3",
    "tokenizers>=0.21,<0.22",
    "huggingface-hub>=0.26,<1",
)
"""ComfyUI 0.3.75 asks for the first; the others are what that one asks for."""


@nox.session(venv_backend="none", requires=["host"])
def lint(session: nox.Session) -> None:
    """ruff, check and format."""
    _run(session, "-m", "ruff", "check", ".")
    _run(session, "-m", "ruff", "format", "--check", ".")


@nox.session(venv_backend="none", requires=["host"])
def demo(session: nox.Session) -> None:
    """The demo: a real server, the same prompts and seeds with and without an adapter."""
    _run(session, "demo/run.py", *session.posargs)


@nox.session(venv_backend="none", requires=["host"])
def sweep(session: nox.Session) -> None:
    """Findings of demo/sweep that are not there yet (an hour for the settings), then their table;
    `-- --help` for the other questions."""
    session.env["OMP_NUM_THREADS"] = "1"
    _run(session, "demo/sweep", *session.posargs)


@nox.session(venv_backend="none", requires=["host"])
def rivals(session: nox.Session) -> None:
    """Rows that demo/rivals/rows.jsonl lacks, then demo/RIVALS.md; `-- --help` for parts of it."""
    session.env["OMP_NUM_THREADS"] = "1"
    _run(session, "demo/rivals", *session.posargs)


@nox.session(venv_backend="none", requires=["host"])
def gpu(session: nox.Session) -> None:
    """Checks and measurements on a CUDA card; without one, what is unmeasured."""
    _run(session, "benchmarks/gpu", *session.posargs)


@nox.session(venv_backend="none", requires=["host"])
def benchmarks(session: nox.Session) -> None:
    """Every benchmark, or those named; flags that follow are theirs, such as `--help`."""
    folders = [ROOT / "benchmarks" / below for below in (".", "memory", "training")]
    files = {file.stem: file for folder in folders for file in sorted(folder.glob("*.py"))}
    names = list(itertools.takewhile(files.__contains__, session.posargs))
    for name in names or files:
        _run(session, str(files[name]), *session.posargs[len(names) :])
