"""`--help` of the sweep and of every benchmark tells what it does, and starts nothing."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
SCRIPTS = [
    ROOT / "demo" / "sweep" / "__main__.py",
    BENCHMARKS / "gpu" / "__main__.py",
    *(file for file in sorted(BENCHMARKS.rglob("*.py")) if file.parent.name != "gpu"),
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_help_starts_nothing(
    script: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(script), run_name="__main__")
    assert left.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    purpose = script.read_text(encoding="utf-8").split('"""')[1].splitlines()[0]
    assert " ".join(purpose.split()[:5]) in told
    assert not list(tmp_path.iterdir())
