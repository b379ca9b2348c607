"""A pilot's plan as tests need it."""

from __future__ import annotations

from pathlib import Path

PLAN = """
format = 1
language = "en"
question = "Does it help?"

[arms]
base = "bare"
candidate = "SoftREPA"
others = []

[prompts]
file = "suite-en"
count = 4
seeds = [1, 2]

[short_term]
measure = "votes"
planned = 54
go = 0.6
no_go = 0.5

[long_term]
kpi = ""
target = ""
when = ""

[people]
voters = []
decides = ""
"""


def plan(path: Path, *changes: tuple[str, str]) -> Path:
    """Writes the plan with these texts replaced; each must be there."""
    text = PLAN
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    path.write_text(text, encoding="utf-8")
    return path
