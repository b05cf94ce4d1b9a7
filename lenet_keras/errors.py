"""What every failure that a person can mend has in common."""


class LenetKerasError(Exception):
    """The message is a sentence: what was wrong, with which file, what to do."""


def in_short(error: Exception) -> str:
    """What another library says, as far as it fits into a sentence of ours."""
    first = next(iter(str(error).splitlines()), "") or type(error).__name__
    return first if len(first) <= 200 else f"{first[:200]} ..."
