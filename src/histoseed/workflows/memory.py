"""Too little memory, told in words: what was too large, and what makes it smaller."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from histoseed.errors import InputError, NoMemoryError

if TYPE_CHECKING:
    from histoseed.segmenters import Segmenter

__all__ = ["explains_memory", "is_out_of_memory", "recompute_activations", "smaller_steps", "smaller_tiles"]

P = ParamSpec("P")
R = TypeVar("R")

Advice = Callable[[Mapping[str, Any]], Sequence[str]]
"""Keyword arguments of a call -> what needs less memory, the best first."""

_SAID = ("defaultcpuallocator", "cublas_status_alloc_failed", "cudnn_status_alloc_failed")
"""How libraries say it that have no exception for it; in lower case."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that there is not enough memory, of the processor or of an accelerator.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(ValueError("no memory of that"))
    (True, False)
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch has a class of its own
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _SAID)


def explains_memory(advice: Advice) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a verb raise :class:`~histoseed.errors.NoMemoryError`, with what needs less.

    Args:
        advice: Looks at the keyword arguments of the call that failed.
    """

    def around(verb: Callable[P, R]) -> Callable[P, R]:
        @wraps(verb)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return verb(*args, **kwargs)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                what = "There is not enough memory on the accelerator."
                if isinstance(error, MemoryError) or "cpu" in str(error).lower():
                    what = "There is not enough memory."
                steps = [*advice(kwargs), "a machine with more memory"]
                fix = f"Use {', or '.join(steps)}. A run that was begun needs --overwrite then."
                raise NoMemoryError(what, fix=fix) from error

        return call

    return around


def smaller_steps(given: Mapping[str, Any]) -> list[str]:
    """What makes a training step smaller; ``given`` are arguments of :func:`histoseed.adapt`."""
    from histoseed.segmenters.methods import STORING
    from histoseed.training import TrainingPlan

    batch, method = given.get("batch") or TrainingPlan().batch, given.get("method")
    steps = [f"--batch {batch // 2}"] if batch > 1 else []
    if method in STORING:
        return [*steps, "a smaller encoder"]
    if method in {None, "full"}:
        steps.append("--method frozen or lora")
    if not given.get("checkpointing"):
        steps.append("--checkpointing (timm encoders)")
    return steps


def smaller_tiles(given: Mapping[str, Any]) -> list[str]:
    """What makes a forward pass smaller; ``given`` are arguments of :func:`histoseed.segment`."""
    from histoseed.settings import read_settings

    batch, tile = given.get("batch"), given.get("tile_size") or read_settings().tile_size
    steps = [] if batch == 1 else [f"--batch {batch // 2 if batch else 1}"]
    return [*steps, f"--tile-size {max(256, tile // 2)}"] if tile > 256 else steps


def recompute_activations(model: Segmenter, method: str, *, wanted: bool = True) -> Segmenter:
    """The model itself, told to keep few activations of its encoder; see :meth:`FeaturePyramid.recompute`.

    Args:
        model: Prepared for the method.
        method: How the encoder is adapted.
        wanted: False leaves the model as it is.

    Raises:
        InputError: the method keeps none, or looks into the encoder's blocks; or an encoder that cannot do it.
    """
    from histoseed.segmenters.methods import STORING

    where, fix = "--checkpointing", "Leave it out."
    if wanted and method in STORING:
        raise InputError(f"With --method {method} no activations of the encoder are kept.", where=where, fix=fix)
    if wanted and method == "adapter":
        what = "The adapter exchanges features with the encoder's blocks, which then cannot run a second time."
        raise InputError(what, where=where, fix=f"{fix} Use a smaller --batch.")
    if wanted:
        model.encoder.recompute()
    return model
