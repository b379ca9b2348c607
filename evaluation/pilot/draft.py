"""A new plan, with its sample size worked out and a checklist beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import EvaluationError
from ..report.texts import Texts
from ..statistics.planning import prompts_needed, votes_needed
from ..trial import Prompt
from ..trial.files import write_all
from . import checklist
from .plan import NAME, SUITE, VOTES, decode, fingerprint, source, spread

FOLDER = Path(__file__).parent / "languages"
PROMPTS = "prompts.jsonl"
TIES = 0.85
"""Votes in which one picture wins, of all: what a plan reckons with."""
EFFECT, SHARE = 0.4, 0.65


@dataclass(frozen=True)
class Choices:
    """What is known when a plan is drafted; None for what is worked out."""

    language: str
    question: str | None
    base: str
    candidate: str
    adapter: str | None
    prompts: str | None
    count: int | None
    seeds: tuple[int, ...]
    measure: str
    expected: float | None
    voters: tuple[str, ...]


def sample_size(measure: str, expected: float) -> int:
    """Decisive votes, or prompts, for an 80 % chance to see what is expected: a share won, or a
    mean difference in standard deviations. Raises EvaluationError for what cannot be seen."""
    try:
        return votes_needed(expected) if measure == VOTES else prompts_needed(expected)
    except ValueError as error:
        raise EvaluationError(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None


def write_draft(folder: Path, choices: Choices) -> Path:
    """Writes pilot.toml, its prompts and pilot.md into `folder`; gives the plan's path.

    Raises EvaluationError where there is a plan already, or nothing can be planned by this.
    """
    folder = Path(folder)
    path = folder / NAME
    if path.exists() or path.is_symlink():
        raise EvaluationError(f"{path} is there already: change it by hand, or move it away.")
    # Named from here, as on any command line; in the plan they are the file that lies beside it.
    named = choices.prompts or f"{SUITE}{choices.language}"
    found = source(named, Path())
    wanted = choices.count or min(len(found), _prompts_for(choices))
    prompts = spread(found, wanted, named)
    data = _filled(choices, prompts)
    decode(data)
    files = {path: data}
    if not _is_own(folder / PROMPTS, named):
        files[folder / PROMPTS] = _lines(prompts)
    if not (folder / checklist.NAME).exists():
        words = (FOLDER / f"{choices.language}.md").read_text(encoding="utf-8")
        files[folder / checklist.NAME] = words.encode()
    folder.mkdir(parents=True, exist_ok=True)
    write_all(files)
    return path


def _is_own(path: Path, named: str) -> bool:
    """Whether the prompts are in their place already. Raises EvaluationError for others there."""
    if not path.exists():
        return False
    if Path(named).resolve() != path.resolve():
        raise EvaluationError(f"{path} is there already: name it with --prompts, or move it away.")
    return True


def _filled(choices: Choices, prompts: Sequence[Prompt]) -> bytes:
    texts, by_votes = Texts(choices.language, FOLDER), choices.measure == VOTES
    expected = choices.expected or _hoped(choices.measure)
    planned = sample_size(choices.measure, expected)
    values = {
        "question": choices.question or texts.say("draft_question"),
        "base": choices.base,
        "candidate": choices.candidate,
        "prompts": PROMPTS,
        "count": len(prompts),
        "seeds": list(choices.seeds),
        "measure": choices.measure,
        "expected": expected,
        "planned": planned if by_votes else min(planned, len(prompts)),
        # Half of what is hoped for: reached whenever the planned votes show a gain at all.
        "go": round(0.5 + (expected - 0.5) / 2, 4) if by_votes else 0.0,
        "no_go": 0.5 if by_votes else 0.0,
        "kpi": texts.say("draft_kpi"),
        "target": texts.say("draft_target"),
        "when": texts.say("draft_when"),
        "voters": list(choices.voters),
        "decides": "",
    }
    lines = {
        "adapter": _line("adapter_sha256", choices.adapter),
        "prompts_sha256": _line("sha256", fingerprint(prompts)),
        "unit": texts.say("unit_votes" if by_votes else "unit_prompts"),
    }
    template = (FOLDER / f"{choices.language}.toml").read_text(encoding="utf-8")
    written = {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}
    return template.format(**written, **lines).encode("utf-8", "replace")


def _hoped(measure: str) -> float:
    return SHARE if measure == VOTES else EFFECT


def _prompts_for(choices: Choices) -> int:
    """Prompts to paint: a decisive vote on each, ties reckoned with; a whole number of times our
    suite's eight categories."""
    planned = sample_size(choices.measure, choices.expected or _hoped(choices.measure))
    return 8 * math.ceil((planned / TIES if choices.measure == VOTES else planned) / 8)


def _lines(prompts: Sequence[Prompt]) -> bytes:
    """A file that `read_prompts` reads back as these prompts."""
    entries = (
        {
            "id": prompt.id,
            "prompt": prompt.text,
            "category": prompt.category,
            "language": prompt.language,
            "expected": prompt.expected,
            "excluded": prompt.excluded,
        }
        for prompt in prompts
    )
    return "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in entries).encode()


def _line(key: str, digest: str | None) -> str:
    return f'{key} = "{digest}"' if digest else f'# {key} = ""'
