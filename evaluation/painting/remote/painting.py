"""Painting on a running ComfyUI, which may be another machine: it paints, pictures are fetched.

The server's own SoftREPATrial paints into the server's output folder, so that its files are hashed
where they lie and nothing is lost when this process ends. Standard library only.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ...errors import EvaluationError
from ...pilot import begin
from ...trial import Cell, Manifest, Prompt, Trial, records
from ...trial.folder import LOCK, MANIFEST, PAINTED, PICTURES
from ...trial.manifest import decode
from ..recipe import TRIAL
from .api import Server

_UPLOADS = "softrepa"
_PAUSE = 0.5
"""Seconds between looks."""


def paint(
    url: str,
    folder: Path,
    graph: dict[str, dict[str, Any]],
    prompts: Sequence[Prompt],
    told: Callable[[int, int], object],
) -> tuple[Trial, int]:
    """Has the server paint what its trial lacks and fetches what this folder lacks.

    Gives the trial and how many pictures were fetched. An interruption here ends the painting
    there. Raises EvaluationError, in one sentence.
    """
    server = Server(url)
    node = graph[TRIAL]["inputs"]
    if "SoftREPATrial" not in (server.get("/object_info/SoftREPATrial") or {}):
        raise EvaluationError(f"{url} has no ComfyUI-SoftREPA with trials: install or update it.")
    if not node["prompts"].startswith("suite-"):
        node["prompts"] = _upload(server, prompts)
    number = server.queue(graph, uuid.uuid4().hex)
    copy = _Copy(server, folder, graph, prompts, told)
    try:
        while not server.finished(number):
            copy.fetch()
            time.sleep(_PAUSE)
    except BaseException as error:
        server.patience = 0.0
        server.stop(number)
        if isinstance(error, EvaluationError):
            with suppress(EvaluationError):  # what it painted before
                copy.fetch(everything=True)
        raise
    copy.fetch(everything=True)
    if copy.trial is None:
        raise EvaluationError(f"{url} has painted no trial {node['name']}: look at its log.")
    return copy.trial, copy.fetched


def _upload(server: Server, prompts: Sequence[Prompt]) -> str:
    """Puts the prompts, with what they expect, where the server's node finds them."""
    lines = [
        {
            "id": prompt.id,
            "text": prompt.text,
            "category": prompt.category,
            "language": prompt.language,
            "expected": list(prompt.expected),
            "excluded": list(prompt.excluded),
        }
        for prompt in prompts
    ]
    data = "".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines).encode()
    return server.upload(_UPLOADS, "prompts", ".jsonl", data)


class _Copy:
    """The server's trial, copied into a folder here as it grows."""

    def __init__(
        self,
        server: Server,
        folder: Path,
        graph: Mapping[str, Mapping[str, Any]],
        prompts: Sequence[Prompt],
        told: Callable[[int, int], object],
    ) -> None:
        self.server, self.folder, self.told = server, folder, told
        self.inputs, self.prompts = graph[TRIAL]["inputs"], prompts
        self.trial: Trial | None = None
        self.fetched = 0

    def fetch(self, everything: bool = False) -> None:
        """Copies the pictures that are there by now; everything: looks past gaps, and for costs."""
        if self.trial is None:
            manifest = self._manifest()
            if manifest is None:
                return
            self.trial = begin(self.folder, manifest)
        cells = list(self.trial.cells())
        missing = self.trial.missing()
        for at, cell in enumerate(missing, 1):
            png = self._file(f"{PICTURES}/{cell.arm}", self.trial.path(cell).name)
            if png is None and not everything:
                break
            if png is not None and self.trial.write(cell, png):
                self.fetched += 1
                self.told(len(cells) - len(missing) + at, len(cells))
        if everything:
            self._costs()

    def _file(self, below: str, name: str) -> bytes | None:
        place = f"softrepa/trials/{self.inputs['name']}"
        return self.server.view(name, f"{place}/{below}" if below else place)

    def _manifest(self) -> Manifest | None:
        """The server's, once it is that of the trial asked for."""
        data = self._file("", MANIFEST)
        if data is None:
            return None
        manifest = decode(data, f"The server's {MANIFEST}")
        names = "\n".join(arm.name for arm in manifest.arms)
        texts = [(prompt.id, prompt.text) for prompt in manifest.prompts]
        asked = self.inputs
        same = (
            names == asked["arm_names"]
            and texts == [(prompt.id, prompt.text) for prompt in self.prompts]
            and (manifest.sampling.steps, manifest.sampling.guidance)
            == (asked["steps"], asked["cfg"])
        )
        return manifest if same else None

    def _costs(self) -> None:
        """Adds what the server recorded of the pictures copied here."""
        data = self._file("", PAINTED)
        if data is None or self.trial is None:
            return
        path = self.trial.folder / PAINTED
        known = {_picture(entry) for entry in records.read(path)}
        ours = set(self.trial.cells())
        new = []
        for line in data.decode("utf-8", "replace").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and _cell(entry) in ours and _picture(entry) not in known:
                new.append(entry)
        records.append(path, self.trial.folder / LOCK, new)


def _cell(entry: Mapping[str, Any]) -> Cell:
    seed = entry.get("seed")
    return Cell(str(entry.get("arm")), str(entry.get("prompt")), seed if type(seed) is int else -1)


def _picture(entry: Mapping[str, Any]) -> tuple[Cell, str]:
    return _cell(entry), str(entry.get("picture_sha256"))
