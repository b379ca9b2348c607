"""The socket types that carry our values between nodes."""

from comfy_api.v0_0_2 import io

SoftREPA = io.Custom("SOFTREPA")
SoftREPASchedule = io.Custom("SOFTREPA_SCHEDULE")
SoftREPATrial = io.Custom("SOFTREPA_TRIAL")
"""A `pathlib.Path`: the trial's folder."""
SoftREPAScorer = io.Custom("SOFTREPA_SCORER")
"""An `evaluation.scorers.Scorer`."""
SoftREPATrainSettings = io.Custom("SOFTREPA_TRAIN_SETTINGS")
"""A tuple of the trainer's flags, such as `("--normalise", "--hard-share=0.5")`."""
