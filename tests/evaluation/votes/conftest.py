"""Fixtures: a small trial of the demo world, and its voting page on a server of this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from comfyui_softrepa.evaluation.votes.answers import Poll
from comfyui_softrepa.evaluation.votes.serve import VotingServer
from comfyui_softrepa.evaluation.votes.trial import trials_in
from comfyui_softrepa.tests.evaluation.votes.trials import write_trial


@pytest.fixture
def trial(tmp_path: Path) -> Path:
    """Two arms, six prompts, one seed."""
    write_trial(tmp_path / "trial")
    return tmp_path / "trial"


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


@pytest.fixture
def address(trial: Path) -> Iterator[str]:
    with serving(trial) as found:
        yield found
