"""The errors that a person can fix."""


class LenetKerasError(Exception):
    """The message is a sentence: what was wrong, with which file, what to do."""


def in_short(error: Exception | str) -> str:
    """The first line of what another library says, short enough for a sentence of ours."""
    first = next(iter(str(error).splitlines()), "") or type(error).__name__
    return first if len(first) <= 200 else f"{first[:200]} ..."
