"""What can be wrong with a source, as errors that name it and say what to do.

Belongs here: the exceptions of loading. Does not: wrong rows, which go to quarantine. Invariant: a
message names sources, files, columns and settings, never a value of a row.
"""

from __future__ import annotations

from collections.abc import Sequence


class SourceError(Exception):
    """A source cannot be loaded as it is described; the message says what to change."""


class SourceUnavailable(SourceError):
    """A source cannot be reached; the message names it and its setting."""


class SourcesFileError(SourceError):
    """The sources file is wrong; ``problems`` names each as ``file:line: where: what``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class LoadInterrupted(SourceError):
    """The platform's own Postgres broke off a load; what was committed stays."""


class LoadError(SourceError):
    """Some sources failed; all others were loaded. ``failures`` are the errors, in order."""

    def __init__(self, failures: Sequence[SourceError]) -> None:
        lines = "\n".join(f"- {failure}" for failure in failures)
        super().__init__(
            f"{len(failures)} of the sources could not be loaded; everything else was. "
            f"Mend these and run again, nothing is loaded twice:\n{lines}"
        )
        self.failures = tuple(failures)
