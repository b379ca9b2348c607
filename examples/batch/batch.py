"""Paints prompts x seeds x adapters through a running ComfyUI, and can be stopped at any time.

    python batch.py --prompts prompts.txt --seeds 1-4 --adapters none,my-adapter.safetensors

A picture's name follows from what it is made of. Started again, or after a dropped connection or a
restarted server, the batch fetches what is there and queues only what is missing. Exit codes: 0 all
pictures are there, 1 some failed, 2 bad input.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import hashlib
import itertools
import json
import re
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client import Client, Failed
from inputs import read_adapters, read_graph, read_prompts, read_seeds
from progress import Progress

HERE = Path(__file__).resolve().parent
_ABANDONED_SECONDS = 3600.0
Graph = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Job:
    """One graph to run. name: of the pictures here; prefix: of those in the server's output."""

    name: str
    prefix: str
    prompt_id: str
    graph: Graph
    pictures: int


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        template = read_graph(options.graph)
        prompts, seeds = read_prompts(options.prompts), read_seeds(options.seeds)
        adapters = read_adapters(options.adapters)
        made = [make_job(template, *each) for each in itertools.product(prompts, seeds, adapters)]
        jobs = list({job.name: job for job in made}.values())
        client = Client(options.server, options.patience)
        options.output.mkdir(parents=True, exist_ok=True)
        _sweep(options.output)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    missing = [job for job in jobs if not all(path.exists() for path in _paths(options, job))]
    progress = Progress(len(jobs), len(jobs) - len(missing))
    failures = 0
    refusal: Failed | None = None
    try:
        for index, job in enumerate(missing):
            if index == 0:
                refusal = _refusal(client, job)
            following = missing[index + 1 : index + 2]
            # The server should not wait while we fetch. That it refuses the next job says nothing
            # of this one.
            ahead = _refusal(client, following[0]) if following else None
            try:
                if refusal is not None:
                    raise refusal
                _keep(client.fetch(job, progress.note), _paths(options, job))
            except Failed as failed:
                failures += 1
                progress.failed(job.name, str(failed))
            else:
                progress.done(job.name)
            refusal = ahead
    except OSError as error:
        progress.end()
        print(f"{options.server} does not answer: {error}", file=sys.stderr)
        return 1
    progress.end()
    return 1 if failures else 0


def _refusal(client: Client, job: Job) -> Failed | None:
    """Queues a job; why the server refuses it."""
    try:
        client.submit(job)
    except Failed as failed:
        return failed
    return None


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--server", default="127.0.0.1:8188", help="host:port or address of ComfyUI")
    add("--graph", type=Path, default=HERE / "graph.json", help="API-format graph to fill in")
    add("--prompts", type=Path, required=True, help="text file, one prompt a line")
    add("--seeds", default="1", help="numbers and ranges, such as 1-4,7")
    add("--adapters", default="none", help="adapter files, comma-separated; none for without")
    add("--output", type=Path, default=Path("pictures"), help="folder for the pictures")
    add("--patience", type=float, default=600.0, help="seconds to wait for a server that is gone")
    return parser.parse_args(arguments)


def make_job(template: Graph, prompt: str, seed: int, adapter: str) -> Job:
    """The template with its blanks filled in.

    `%prompt%` is replaced in every text; every `seed` and `noise_seed`, and the `adapter` of every
    SoftREPALoader, is set; the adapter "none" takes the pack's nodes out. Raises ValueError where
    the template has no place for the prompt, or saves nothing.
    """
    graph = without_adapter(template) if adapter == "none" else copy.deepcopy(template)
    blanks = 0
    for node, name in _inputs(graph):
        value = node["inputs"][name]
        if isinstance(value, str) and "%prompt%" in value:
            blanks += 1
            node["inputs"][name] = value.replace("%prompt%", prompt)
        elif name in ("seed", "noise_seed") and not isinstance(value, list):
            node["inputs"][name] = seed
        elif node["class_type"] == "SoftREPALoader" and name == "adapter":
            node["inputs"][name] = adapter
    savers = [node for node in graph.values() if node["class_type"] == "SaveImage"]
    if not blanks or len(savers) != 1:
        raise ValueError("The graph needs a text with %prompt% in it and exactly one SaveImage.")
    savers[0]["inputs"]["filename_prefix"] = ""
    key = hashlib.sha256(json.dumps(graph, sort_keys=True).encode()).hexdigest()[:16]
    savers[0]["inputs"]["filename_prefix"] = prefix = f"batch/{key}"
    stem = _short(re.sub(r"[^\w.-]+", "-", adapter), 80)
    slug = _short(re.sub(r"\W+", "-", prompt.lower()).strip("-")[:40], 90)
    name = f"{slug}_{seed}_{stem}_{key}"
    prompt_id = str(uuid.uuid5(uuid.NAMESPACE_OID, key))
    return Job(name, prefix, prompt_id, graph, _pictures(graph))


def _short(text: str, most: int) -> str:
    """As many whole characters as fit `most` bytes: file systems count those."""
    return text.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")


def _pictures(graph: Graph) -> int:
    """The graph's batch size, in the node itself or in one that holds no other number."""
    sizes = set()
    for node, name in _inputs(graph):
        if name == "batch_size":
            value = node["inputs"][name]
            for _ in graph:  # at most as many links as there are nodes
                if not isinstance(value, list):
                    break
                inputs = graph.get(str(value[0]), {"inputs": {}})["inputs"].values()
                held = [each for each in inputs if isinstance(each, int | list)]
                value = held[0] if len(held) == 1 else None
            if isinstance(value, bool) or not isinstance(value, int):
                raise ValueError(
                    "The batch_size of the graph comes from a node that tells it only when it has "
                    f"run: write a number into {node['class_type']} itself."
                )
            sizes.add(value)
    if len(sizes) > 1:
        raise ValueError("The graph has batch_size twice, with different numbers: use one.")
    return sizes.pop() if sizes else 1


def _inputs(graph: Graph) -> Iterator[tuple[dict[str, Any], str]]:
    for node in graph.values():
        for name in node["inputs"]:
            yield node, name


def without_adapter(template: Graph) -> Graph:
    """The graph with every Apply node replaced by what goes into it, and no node of the pack."""
    graph = copy.deepcopy(template)
    through = {
        key: node["inputs"]["model" if node["class_type"] == "SoftREPAApply" else "conditioning"]
        for key, node in graph.items()
        if node["class_type"] in ("SoftREPAApply", "SoftREPAApplyConditioning")
    }
    for node, name in _inputs(graph):
        while isinstance(link := node["inputs"][name], list) and link[0] in through:
            node["inputs"][name] = through[link[0]]
    return {key: node for key, node in graph.items() if "SoftREPA" not in node["class_type"]}


def _paths(options: argparse.Namespace, job: Job) -> list[Path]:
    numbers = [""] if job.pictures == 1 else [f"_{index}" for index in range(1, job.pictures + 1)]
    return [options.output / f"{job.name}{number}.png" for number in numbers]


def _keep(pictures: list[bytes], paths: list[Path]) -> None:
    """Each appears whole or not at all, also where another batch fills the same folder."""
    for data, path in zip(pictures, paths, strict=True):
        unfinished = path.with_name(f"{path.stem}.{uuid.uuid4().hex[:8]}.part")
        try:
            with unfinished.open("xb") as file:
                file.write(data)
            if not path.exists():
                unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Removes what a killed batch left half written; a younger file may be another one's."""
    for path in folder.glob("*.part"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > _ABANDONED_SECONDS:
                path.unlink()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
