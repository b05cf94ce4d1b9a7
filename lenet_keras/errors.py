"""What every failure that a person can mend has in common."""


class LenetKerasError(Exception):
    """The message is a sentence: what was wrong, with which file, what to do."""
