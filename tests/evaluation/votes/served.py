"""`evaluate.py vote` as a process of its own, and a client that votes as the page does."""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import re
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]


def start(trial: Path, *flags: str) -> tuple[subprocess.Popen, str]:
    """The running server and the address that it printed."""
    process = subprocess.Popen(
        [sys.executable, __file__, str(trial), *flags], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    found = re.search(r"http://\S+/", process.stdout.readline())
    if found is None:
        process.kill()
        raise RuntimeError("the server did not say where it is")
    return process, found[0]


def ask(address: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Status and JSON. Raises OSError where the server is not reached or breaks off."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(
        address + path, data, {"Content-Type": "application/json", **headers}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def trial_id(address: str) -> str:
    return ask(address, "trials")[1][0]["id"]


class Client:
    """A voter without a browser. given: id -> (ballot, answer) of the votes that the server said
    are kept."""

    def __init__(self, address: str, voter: str, seed: int = 0, trial: str = "") -> None:
        self.address, self.voter = address, voter
        self.trial = trial or trial_id(address)
        self.random = random.Random(seed)
        self.given: dict[str, tuple[str, str]] = {}

    def state(self) -> dict[str, Any]:
        status, found = ask(self.address, "start", {"trial": self.trial, "voter": self.voter})
        assert status == 200, found
        return found

    def new_vote(self, ballot: str) -> dict[str, str]:
        answer = self.random.choice(("left", "right", "tie", "both_bad"))
        return {"trial": self.trial, "voter": self.voter, "id": str(uuid.uuid4()),
                "ballot": ballot, "answer": answer}  # fmt: skip

    def send(self, vote: dict[str, str]) -> dict[str, Any]:
        status, found = ask(self.address, "vote", vote)
        assert status == 200, found
        self.given[vote["id"]] = vote["ballot"], vote["answer"]
        return found


def main() -> int:
    spec = importlib.util.spec_from_file_location("host_pack", ROOT / "host" / "pack.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.import_pack()
    from comfyui_softrepa.evaluation.votes import command

    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return command.run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
