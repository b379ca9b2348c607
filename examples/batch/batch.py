"""Paints prompts x seeds x adapters through a running ComfyUI, and can be stopped at any time.

    python batch.py --prompts prompts.txt --seeds 1-4 --adapters none,my-adapter.safetensors

A picture's name follows from what it is made of. Started again, or after a dropped connection or a
restarted server, the batch fetches what is there and queues only what is missing. Exit codes: 0 all
pictures are there, 1 some failed, 2 bad input.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import itertools
import json
import re
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client import Client, Failed
from tqdm import tqdm

HERE = Path(__file__).resolve().parent
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
        template = json.loads(options.graph.read_text(encoding="utf-8"))
        prompts = [line for line in options.prompts.read_text("utf-8").splitlines() if line.strip()]
        seeds, adapters = _seeds(options.seeds), options.adapters.split(",")
        made = [make_job(template, *each) for each in itertools.product(prompts, seeds, adapters)]
        jobs = list({job.name: job for job in made}.values())
        options.output.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    missing = [job for job in jobs if not all(path.exists() for path in _paths(options, job))]
    client = Client(options.server, options.patience)
    failures = 0
    with tqdm(total=len(jobs), initial=len(jobs) - len(missing), unit="job") as bar:
        for job, following in itertools.zip_longest(missing, missing[1:]):
            try:
                client.submit(job)
                if following is not None:  # the server should not wait while we fetch
                    client.submit(following)
                _keep(client.fetch(job, bar.set_postfix_str), _paths(options, job))
            except Failed as failed:
                failures += 1
                bar.write(f"{job.name}: {failed}", file=sys.stderr)
            except OSError as error:
                bar.write(f"{options.server} does not answer: {error}", file=sys.stderr)
                return 1
            bar.update()
    return 1 if failures else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--server", default="127.0.0.1:8188", help="host:port of the running ComfyUI")
    add("--graph", type=Path, default=HERE / "graph.json", help="API-format graph to fill in")
    add("--prompts", type=Path, required=True, help="text file, one prompt a line")
    add("--seeds", default="1", help="numbers and ranges, such as 1-4,7")
    add("--adapters", default="none", help="adapter files, comma-separated; none for without")
    add("--output", type=Path, default=Path("pictures"), help="folder for the pictures")
    add("--patience", type=float, default=600.0, help="seconds to wait for a server that is gone")
    return parser.parse_args(arguments)


def _seeds(text: str) -> list[int]:
    seeds: list[int] = []
    for item in text.split(","):
        match = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", item)
        if match is None:
            raise ValueError(f'"{item}" is no seed: write numbers and ranges such as 1-4,7.')
        seeds += range(int(match[1]), int(match[2] or match[1]) + 1)
    return seeds


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
    sizes = [node["inputs"][name] for node, name in _inputs(graph) if name == "batch_size"]
    slug = re.sub(r"\W+", "-", prompt.lower()).strip("-")[:40]
    stem = re.sub(r"[^\w.-]+", "-", adapter)
    name = f"{slug}_{seed}_{stem}_{key}"
    prompt_id = str(uuid.uuid5(uuid.NAMESPACE_OID, key))
    return Job(name, prefix, prompt_id, graph, sizes[0] if sizes else 1)


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
    for data, path in zip(pictures, paths, strict=True):
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(data)
        unfinished.replace(path)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
