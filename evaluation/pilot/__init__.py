"""A pilot: a trial with a plan, fixed before the first picture, that can end in "no"."""

from .begin import begin, plan_of
from .plan import NAME, Plan, fingerprint, planned_prompts, read_plan

__all__ = ["NAME", "Plan", "begin", "fingerprint", "plan_of", "planned_prompts", "read_plan"]
