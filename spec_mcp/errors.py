"""The errors that a person can mend. Imports nothing: every layer may raise one, and `__main__` reports it once."""


def printable(text: str) -> str:
    """The text on one line, without what a terminal would obey: parts of it come from servers and models."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else "�" for character in text)


class UserError(Exception):
    """A file, a key or a command line is wrong, and its user can put it right.

    The text is one line, `FILE: key: what to do`, without a full stop; the program prints it after `spec-mcp: ` on
    standard error and exits with 2. Subclasses say whose file it is.
    """


class Failed(Exception):  # noqa: N818  it is no error: the answer is no
    """What was asked for could not be done. The text is one line; the program exits with 1."""
