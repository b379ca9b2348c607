"""A small checkpoint, a few pictures and one cache for all runs of the trainer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from comfyui_softrepa.tests import checkpoints
from comfyui_softrepa.training.run import command
from PIL import Image

VALIDATED = "--val-fraction=0.25"
"""For tests of validation, or of all that a run leaves; it takes longer than a run's few steps."""
COLOURS = ("red", "green", "blue", "yellow", "white", "black", "orange", "purple")


@pytest.fixture(scope="session")
def sd3(tmp_path_factory) -> Path:
    return checkpoints.write_sd3(tmp_path_factory.mktemp("checkpoints") / "sd3.safetensors")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Eight pictures of squares in different colours, with captions."""
    return write_pictures(tmp_path_factory.mktemp("pictures"), COLOURS)


@pytest.fixture(scope="session")
def shared_cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("cache")


def write_pictures(folder: Path, colours: Sequence[str]) -> Path:
    for index, colour in enumerate(colours):
        picture = Image.new("RGB", (32, 32), "gray")
        picture.paste(Image.new("RGB", (16, 16), colour), (index, 8))
        picture.save(folder / f"{index}.png")
        (folder / f"{index}.txt").write_text(f"a {colour} square\n", encoding="utf-8")
    return folder


@pytest.fixture
def flags(sd3: Path, pictures: Path, shared_cache: Path) -> Callable[..., list[str]]:
    """A command line for a short run into a folder; later flags win over these."""

    def build(output: Path, *more: str) -> list[str]:
        named = {
            "checkpoint": sd3,
            "data": pictures,
            "output": output / "adapter.safetensors",
            "cache": shared_cache,
            "resolution": 32,
            "steps": 6,
            "batch-size": 3,
            "save-every": 2,
            "val-fraction": 0,
            "temperature": 0.3,
        }
        if any(flag.startswith("--data=") for flag in more):
            del named["data"]  # several add up
        return [*(f"--{name}={value}" for name, value in named.items()), "--normalise", *more]

    return build


@pytest.fixture
def train(flags: Callable[..., list[str]], monkeypatch) -> Callable[..., int]:
    """Runs the trainer here; gives its exit code."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    return lambda output, *more: command.main(flags(output, *more))
