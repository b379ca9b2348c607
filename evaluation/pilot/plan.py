"""`pilot.toml`: what a pilot is to find out, and by what it will be decided."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from ..errors import PromptsError, TrialError
from ..prompts import LANGUAGES, read_prompts, suite
from ..trial import Prompt
from ..trial.checks import Checked, safe_folder, shown, unique
from ..trial.manifest import ARMS

FORMAT = 1
NAME = "pilot.toml"
LARGEST = 64 << 10
"""Bytes."""
VOTES = "votes"
SUITE = "suite-"
"""Before the language, in place of a file of prompts: our own suite."""


@dataclass(frozen=True)
class LongTerm:
    """What is looked at after the pilot, in the planner's own words; may be empty."""

    kpi: str
    target: str
    when: str


@dataclass(frozen=True)
class Plan:
    """A pilot's plan. `digest`: SHA-256 of its file's bytes, as the manifest keeps it.

    base, candidate: arms by name; the one in use and the one to decide on. others: arms that are
    painted and decide nothing. adapter: SHA-256 of the candidate's adapter, or None. prompts: where
    they are from, `suite-en` or a file as named; count: how many; prompts_sha256: `fingerprint` of
    them, or None. measure: "votes" or a scorer's name. expected: the share won, or the effect in
    standard deviations, that is hoped for, or None. planned: decisive votes, or prompts scored. go,
    no_go: thresholds of the measure: a share won in 0..1, or a mean difference in the scorer's
    unit. voters, decides: people, by name.
    """

    digest: str
    language: str
    question: str
    base: str
    candidate: str
    others: tuple[str, ...]
    adapter: str | None
    prompts: str
    count: int
    prompts_sha256: str | None
    seeds: tuple[int, ...]
    measure: str
    expected: float | None
    planned: int
    go: float
    no_go: float
    long_term: LongTerm
    voters: tuple[str, ...]
    decides: str

    @property
    def by_votes(self) -> bool:
        """Whether people decide, not a scorer."""
        return self.measure == VOTES

    @property
    def arms(self) -> tuple[str, ...]:
        """All arms' names, as the trial is to have them: the base first."""
        return self.base, self.candidate, *self.others


def read_plan(path: Path) -> Plan:
    """The plan in a file. Raises TrialError, in one sentence, for one that is not sound."""
    return decode(read_bytes(path), path.name)


def read_bytes(path: Path) -> bytes:
    """A plan's bytes, at most one more than it may have. Raises TrialError."""
    try:
        with Path(path).open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise TrialError(
            f"{path} cannot be read ({error.strerror}): evaluate.py pilot init writes one."
        ) from None


def decode(data: bytes, name: str = NAME) -> Plan:
    """The plan in a file's bytes; `name` stands in messages. Raises TrialError."""
    content = _parsed(data, name)
    version = content.take("format", int)
    if version != FORMAT:
        raise TrialError(
            f"{name} is of format {version} and this version reads format {FORMAT}: update "
            "ComfyUI-SoftREPA."
        )
    arms, prompts = content.inner("arms"), content.inner("prompts")
    short, long = content.inner("short_term"), content.inner("long_term")
    people = content.inner("people")
    measure = short.text("measure", 100)
    reach = (0.0, 1.0) if measure == VOTES else (-1e6, 1e6)
    plan = Plan(
        digest=hashlib.sha256(data).hexdigest(),
        language=content.text("language", 20),
        question=content.text("question", 1_000),
        base=arms.folder_name("base"),
        candidate=arms.folder_name("candidate"),
        others=_names(arms, "others", name),
        adapter=arms.digest("adapter_sha256", optional=True),
        prompts=prompts.text("file", 1_000),
        count=prompts.integer("count", 1, 100_000),
        prompts_sha256=prompts.digest("sha256", optional=True),
        seeds=prompts.integers("seeds", 0, (1 << 64) - 1),
        measure=measure,
        expected=short.number("expected", *reach, optional=True),
        planned=short.integer("planned", 1, 1_000_000),
        go=short.number("go", *reach),
        no_go=short.number("no_go", *reach),
        long_term=LongTerm(*(long.text(k, 1_000, empty=True) for k in ("kpi", "target", "when"))),
        voters=_names(people, "voters", name),
        decides=people.text("decides", 200, empty=True),
    )
    for part in (content, arms, prompts, short, long, people):
        part.done()
    _check(plan, name)
    return plan


def _parsed(data: bytes, name: str) -> Checked:
    if len(data) > LARGEST:
        raise TrialError(f"{name} is larger than {LARGEST >> 10} KB: it is no pilot's plan.")
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        return Checked(tomllib.loads(text), name)
    except RecursionError:
        raise TrialError(f"{name} is nested deeper than any plan: it was not read.") from None
    except UnicodeDecodeError:
        raise TrialError(f"{name} is not in UTF-8: save it as UTF-8.") from None
    except ValueError as error:
        said = ascii(str(error))[1:-1]
        raise TrialError(
            f"{name} is no sound TOML ({said[:80]}): mend that line, texts stand in quotes."
        ) from None


def _names(part: Checked, key: str, name: str) -> tuple[str, ...]:
    values = part.take(key, list)
    if len(values) > 100 or not all(isinstance(v, str) and 0 < len(v) <= 200 for v in values):
        raise TrialError(f"{name}: {key} must be a list of names, not {shown(values)}.")
    return tuple(values)


def _check(plan: Plan, name: str) -> None:
    """What no single value tells."""
    for arm in plan.others:
        if not safe_folder(arm):
            raise TrialError(f"{name}: others cannot be the name of a folder everywhere: "
                             f"{shown(arm)}.")  # fmt: skip
    unique(name, "arm", plan.arms)
    if len(plan.arms) > ARMS[1]:
        raise TrialError(f"{name} names {len(plan.arms)} arms; {ARMS[0]} to {ARMS[1]} are needed.")
    if plan.no_go > plan.go:
        raise TrialError(
            f"{name}: no_go ({plan.no_go:g}) lies above go ({plan.go:g}): one result would be both."
        )
    if plan.by_votes and plan.go < 0.5:
        raise TrialError(
            f"{name}: go ({plan.go:g}) is less than half of the votes: whoever wins fewer is worse."
        )


def fingerprint(prompts: Iterable[Prompt]) -> str:
    """A SHA-256 of prompts' ids and texts, in order."""
    listed = [[prompt.id, prompt.text] for prompt in prompts]
    return hashlib.sha256(json.dumps(listed, ensure_ascii=True).encode()).hexdigest()


def planned_prompts(plan: Plan, folder: Path) -> tuple[Prompt, ...]:
    """The plan's prompts, read from our suite or from its file, which is named from `folder`, the
    plan's own. Where there are more than `count`, these are spread evenly over them, so that every
    category has its share. Raises PromptsError, also for too few of them."""
    return spread(source(plan.prompts, folder), plan.count, plan.prompts)


def source(name: str, folder: Path) -> tuple[Prompt, ...]:
    """All prompts of `suite-en`, or of a file that is named from `folder`. Raises PromptsError."""
    if not name.startswith(SUITE):
        return read_prompts(Path(folder) / name)
    language = name[len(SUITE) :]
    if language not in LANGUAGES:
        raise PromptsError(
            f"There is no suite {ascii(name)[1:60]}: write {SUITE}{f' or {SUITE}'.join(LANGUAGES)}."
        )
    return suite(language)


def spread(found: tuple[Prompt, ...], count: int, name: str) -> tuple[Prompt, ...]:
    """`count` of the prompts, evenly over all of them, in order. Raises PromptsError."""
    if len(found) < count:
        raise PromptsError(
            f"{name} holds {len(found)} prompts and the plan wants {count}: add some, or plan with "
            "fewer."
        )
    return tuple(found[at * len(found) // count] for at in range(count))
