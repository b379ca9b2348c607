"""Nodes that find out whether an adapter helps: trials, scorers, report."""

from __future__ import annotations

from comfy_api.v0_0_2 import io

from .load_scorer import SoftREPALoadScorer
from .monitor import SoftREPAMonitor
from .report import SoftREPAReport
from .score import SoftREPAScore
from .score_trial import SoftREPAScoreTrial
from .trial import SoftREPATrial

EVALUATION_NODES: list[type[io.ComfyNode]] = [
    SoftREPATrial,
    SoftREPALoadScorer,
    SoftREPAScore,
    SoftREPAScoreTrial,
    SoftREPAReport,
    SoftREPAMonitor,
]
