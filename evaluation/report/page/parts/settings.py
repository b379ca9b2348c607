"""What was painted and how, with all hashes: enough to do it again."""

from __future__ import annotations

from collections.abc import Sequence

from ....trial import Trial
from ...analysis import Analysis
from ...texts import Texts
from ...wording import UNKNOWN
from ..markup import cell_name, escaped


def settings(analysis: Analysis, trial: Trial, texts: Texts) -> str:
    """The section."""
    manifest, sampling = analysis.manifest, analysis.manifest.sampling
    plain = {k: v for k, v in vars(sampling).items() if k != "details"} | dict(sampling.details)
    rows = [
        ["created", manifest.created],
        ["sampling", ", ".join(f"{key} {value}" for key, value in plain.items() if value != "")],
        ["seeds", ", ".join(map(str, manifest.seeds))],
        ["host", ", ".join(f"{key} {value}" for key, value in manifest.host.items())],
        ["manifest", trial.digest],
        ["pilot", manifest.pilot or UNKNOWN],
        ["scorers", "; ".join(_scorer(*each) for each in analysis.weights.items()) or UNKNOWN],
    ]
    told = [[escaped(texts.say(key)), escaped(value)] for key, value in rows]
    for arm in manifest.arms:
        models = "<br>".join(escaped(_model(vars(model))) for model in arm.models)
        more = escaped(", ".join(f"{key} {value}" for key, value in arm.details.items()))
        told.append([cell_name(arm.name), f"{models}<br>{more}" if more else models])
    body = "".join(f"<tr><th>{name}</th><td>{value}</td></tr>" for name, value in told)
    return (
        f"<section><h2>{escaped(texts.say('settings'))}</h2>"
        f'<table class="settings"><tbody>{body}</tbody></table></section>'
    )


def _scorer(scorer: str, weights: Sequence[str]) -> str:
    return f"{scorer} {' '.join(weights)}".strip()


def _model(values: dict) -> str:
    more = {k: v for k, v in values.items() if k not in ("kind", "name", "sha256", "details")}
    more = {k: v for k, v in (more | dict(values["details"])).items() if v not in (None, "")}
    told = "".join(f", {key} {value}" for key, value in more.items())
    return f"{values['kind']} {values['name']}{told}: {values['sha256']}"
