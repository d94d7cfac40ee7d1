"""The exceptions of histoseed.

Every error that histoseed raises on purpose says *what* is wrong, *where*, and *what to do next*::

    HistoseedError                   code              exit
      InputError                     bad-input         2     what was given cannot be used
        SlideError                   bad-slide         2     no reader fits, or the file is damaged
          UnknownMppError            unknown-mpp       2     a physical size is needed and not known
        AnnotationError              bad-annotation    2     outlines or label images that cannot be read
        DatasetError                 bad-dataset       2     a data-set folder that breaks the common format
        ModelError                   bad-model         2     a model folder, an encoder name or its weights
          GatedModelError            gated-model       2     weights that need an accepted licence first
        LimitError                   limit-exceeded    2     a named setting forbids it
      OutputError                    bad-output        2     the output cannot be written where it was asked for
      NoMemoryError                  no-memory         2     processor or accelerator have not enough memory
      DependencyError                missing-package   2     a package is absent or too old
      ClusterError                   cluster           2     workers are lost or do not come; what is done stays done

An interruption by the user (Ctrl-C) is no error of ours: it stays :class:`KeyboardInterrupt` and exits with 130.
"""

from __future__ import annotations

__all__ = [
    "AnnotationError",
    "ClusterError",
    "DatasetError",
    "DependencyError",
    "GatedModelError",
    "HistoseedError",
    "InputError",
    "LimitError",
    "ModelError",
    "NoMemoryError",
    "OutputError",
    "SlideError",
    "UnknownMppError",
]


class HistoseedError(Exception):
    """Root of all errors of histoseed.

    Args:
        what: One sentence: what is wrong.
        where: The file, row, option or object it concerns.
        fix: What the user can do next.
    """

    code = "error"
    exit_code = 2

    def __init__(self, what: str, *, where: object = None, fix: str | None = None) -> None:
        self.what = what
        self.where = None if where is None else str(where)
        self.fix = fix
        super().__init__(str(self))

    def __str__(self) -> str:
        """The whole message in one line: ``where: what Fix: fix``."""
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        return text if self.fix is None else f"{text} Fix: {self.fix}"

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross process borders unchanged."""
        return (_rebuild, (type(self), self.what, self.where, self.fix))


def _rebuild(kind: type[HistoseedError], what: str, where: str | None, fix: str | None) -> HistoseedError:
    return kind(what, where=where, fix=fix)


class InputError(HistoseedError):
    """What was given cannot be used."""

    code = "bad-input"


class SlideError(InputError):
    """A slide or image that no reader can open, or that is damaged."""

    code = "bad-slide"


class UnknownMppError(SlideError):
    """A physical size was needed and the microns per pixel are not known."""

    code = "unknown-mpp"


class AnnotationError(InputError):
    """Outlines or label images that cannot be read."""

    code = "bad-annotation"


class DatasetError(InputError):
    """A data-set folder that does not follow the common format."""

    code = "bad-dataset"


class ModelError(InputError):
    """A model folder, an encoder name, or weights that cannot be used."""

    code = "bad-model"


class GatedModelError(ModelError):
    """Weights whose licence must be accepted on the model's page first."""

    code = "gated-model"


class LimitError(InputError):
    """A named limit of :mod:`histoseed.settings` forbids it."""

    code = "limit-exceeded"


class OutputError(HistoseedError):
    """The output cannot be written where it was asked for."""

    code = "bad-output"


class NoMemoryError(HistoseedError):
    """Processor or accelerator have not enough memory. A run that was begun is kept."""

    code = "no-memory"


class DependencyError(HistoseedError):
    """A package is absent or too old."""

    code = "missing-package"


class ClusterError(HistoseedError):
    """Workers or their scheduler are lost or do not come. What is done stays done: no bad input, the run is resumed."""

    code = "cluster"
