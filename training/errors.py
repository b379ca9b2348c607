"""What the trainer tells a user whose input it cannot work with."""


class BadInput(Exception):
    """One plain sentence on what is wrong and what to do; `train.py` prints it and exits with 2."""
