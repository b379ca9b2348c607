"""Fixtures: a small trial of the demo world, and its voting page on a server of this process."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from comfyui_softrepa.evaluation.votes.serving.answers import Poll
from comfyui_softrepa.evaluation.votes.serving.server import VotingServer
from comfyui_softrepa.evaluation.votes.trial import trials_in
from comfyui_softrepa.host.chromium import FLAGS, locate
from comfyui_softrepa.tests.evaluation.votes.trials import write_trial
from playwright.sync_api import Browser, Playwright, sync_playwright


@pytest.fixture(scope="session")
def untouched_trial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("votes") / "trial"
    write_trial(folder)
    return folder


@pytest.fixture
def trial(untouched_trial: Path, tmp_path: Path) -> Path:
    """Two arms, six prompts, one seed; a test may do to it what it likes."""
    return shutil.copytree(untouched_trial, tmp_path / "trial")


@contextmanager
def serving(folder: Path, goal: int | None = None, key: str = "") -> Iterator[str]:
    """The address of the page."""
    with VotingServer(Poll(trials_in([folder]), goal), 0, key) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/{key and key + '/'}"
        finally:
            server.shutdown()
            thread.join()


# Module scope: while playwright lives, its event loop is this thread's, which other tests need.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> Iterator[Browser]:
    with playwright.chromium.launch(executable_path=locate(), args=FLAGS) as browser:
        yield browser


@pytest.fixture
def address(trial: Path) -> Iterator[str]:
    with serving(trial) as found:
        yield found
