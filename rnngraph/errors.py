"""The errors a user can meet. Everything imports this module; it imports nothing.

A message is one sentence or two: what happened, the offending value, what to do.
"""

LONGEST_QUOTE = 200  # characters that a message quotes of somebody else's


class RnnGraphError(Exception):
    """Root of every error that this package raises on purpose."""


class InputError(RnnGraphError, ValueError):
    """A value, shape, name or option that cannot be used as given."""


class DtypeError(RnnGraphError, TypeError):
    """An array of a type that the operation does not take."""


class VocabularyError(RnnGraphError, IndexError):
    """A token outside the vocabulary."""


class TapeError(RnnGraphError, RuntimeError):
    """A tensor or a node used with a tape that it does not belong to."""


class GradientError(RnnGraphError, ArithmeticError):
    """A rule that returned a gradient of the wrong shape, or a gradient check that failed."""


class FileError(RnnGraphError, OSError):
    """A file that cannot be read as what it should be, or cannot be written."""


class MissingToolError(RnnGraphError, ImportError):
    """An optional package or program that is not installed; the message carries the install line."""


def said(error: BaseException, *, longest: int | None = LONGEST_QUOTE) -> str:
    """Give in one line what an exception says, or its type where it says nothing.

    Other people's exceptions may fail even at that: one whose text cannot be made is named by its type.
    """
    try:
        text = " ".join(str(error).split())
    except KeyboardInterrupt:
        raise
    except BaseException:
        text = ""
    text = text or type(error).__name__
    return text if longest is None or len(text) <= longest else text[: longest - 1] + "…"
