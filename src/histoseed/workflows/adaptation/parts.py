"""Start, decoder, method and classifier: as the caller asked for them, and as they go together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from histoseed.encoders import Chosen, EncoderCard, choose_encoder
from histoseed.encoders.choose import is_path
from histoseed.errors import InputError
from histoseed.workflows.models import load_model, model_folder

if TYPE_CHECKING:
    from histoseed.segmenters import ClassifierEntry, MethodOptions, Segmenter, Task, TrainingData

__all__ = [
    "ADDING",
    "Parts",
    "choose_parts",
    "classifier_of",
    "decoder_body",
    "decoder_kind",
    "named_encoder",
    "seen_before",
    "start_model",
    "usual_method",
]

ADDING = ("lora", "adapter", "side-branch")
"""Methods that add weights to an encoder, or give some of its layers other names."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The checked choice of a decoder and a method."""

    decoder: Any
    processing: Any
    method: MethodOptions
    classifier: ClassifierEntry


def named_encoder(
    encoder: str,
    weights: str | Path | None,
    *,
    start: str | Path | None,
    task: Task | None,
    decoder: str | None,
    method: str | None,
) -> Chosen:
    """The encoder that is named, before data are read and anything is built.

    Args:
        encoder: Name or path.
        weights: See :func:`histoseed.encoders.choose_encoder`.
        start: The start, if any; it brings its own encoder and decoder.
        task: None is ``instance``.
        decoder: None is ``skip``.
        method: None is one that goes with every encoder.

    Raises:
        InputError: no such encoder, one that does not go with decoder and method, or one beside a start.
    """
    if start is not None and (encoder != "bundled" or weights is not None):
        option, value = ("--weights", weights) if encoder == "bundled" else ("--encoder", encoder)
        fix = f"Leave {option} out, or go on from the encoder instead of --start."
        raise InputError("A start brings its own encoder with its weights.", where=f"{option} {value}", fix=fix)
    chosen = choose_encoder(encoder, weights)
    if start is None and method is not None:
        _check_combination(chosen.card, decoder_kind(task or "instance", decoder), method)
    return chosen


def start_model(
    encoder: str, weights: str | Path, start: str | Path | None, decoder: str | None, task: Task | None = None
) -> Segmenter | None:
    """The trained model whose decoder is the start, if any."""
    if start is not None:
        first = load_model(start)
        if task not in {None, first.card.task}:
            fix = f"Leave --task out, or take its encoder alone: --encoder {start}."
            raise InputError(f"The start is of the task {first.card.task}, not {task}.", where="--task", fix=fix)
        kind = first.card.decoder.kind
        if decoder is not None and decoder_kind(first.card.task, decoder) != kind:
            fix = "Leave --decoder out, or name an --encoder instead of a --start."
            raise InputError(f"The start has the decoder {kind}, not {decoder}.", where="--decoder", fix=fix)
        return first
    if task != "semantic" and encoder == "bundled" and str(weights) == "bundled" and decoder in {None, "skip"}:
        return load_model("bundled")
    return None


def usual_method(start: str | None) -> str:
    """What trains beside the decoder where nothing is said.

    Args:
        start: Name of the encoder of the trained model that is the start; None where there is none.
    """
    return "full" if start == "bundled" else "frozen"


def decoder_body(encoder: str, weights: str | Path, kind: str) -> Segmenter | None:
    """A trained model of another task with the same architecture, whose decoder a new one starts from."""
    known = encoder == "bundled" and str(weights) == "bundled"
    return load_model("bundled") if known and kind == "semantic" else None


def seen_before(encoder: str, chosen: Chosen, first: Segmenter | None) -> tuple[TrainingData, ...]:
    """Data sets that the weights have seen, as far as a model's card tells it.

    Args:
        encoder: What the user named.
        chosen: What was found by it.
        first: The model that training starts from.
    """
    from histoseed.segmenters import read_card

    if first is not None:
        return first.card.data
    if str(chosen.weights) == "bundled":
        return read_card(model_folder("bundled")).data
    if is_path(encoder) and (Path(encoder) / "model.json").is_file():
        return read_card(Path(encoder)).data
    return ()


def decoder_kind(task: Task, decoder: str | None) -> str:
    """The kind of segmenter that a task and a decoder name; a semantic model has the architecture of ``skip``.

    Raises:
        InputError: there is no such decoder, or it makes no sense for the task.
    """
    from histoseed.segmenters import why_not_for

    reason = why_not_for(task, decoder or "skip")
    if reason is not None:
        why, fix = _reason_and_fix(reason)
        raise InputError(f"{decoder} for the task {task}: {why}.", where="--decoder", fix=fix)
    return "semantic" if task == "semantic" else decoder or "skip"


def classifier_of(task: Task, kind: Literal["map", "tokens"]) -> ClassifierEntry:
    """Where classes come from.

    Raises:
        InputError: cells have tokens, areas have none.
    """
    from histoseed.segmenters import ClassifierEntry

    if task == "semantic" and kind != "map":
        what = f"The classifier {kind} decides about single cells, and the task semantic has none."
        raise InputError(what, where="--classifier", fix="Leave it out.")
    return ClassifierEntry(kind=kind)


def _check_combination(card: EncoderCard, decoder: str, method: str) -> None:
    """Refuse what does not go together; neither data nor weights are needed for it.

    Raises:
        InputError: names that do not exist, or a combination that makes no sense.
    """
    from histoseed.segmenters import why_not

    reason = why_not(card, decoder, method)
    if reason is not None:
        why, fix = _reason_and_fix(reason)
        raise InputError(f"{card.name} with {decoder} and {method}: {why}.", where="--method", fix=fix)


def _reason_and_fix(reason: str) -> tuple[str, str]:
    """A reason of :mod:`histoseed.segmenters.combinations`, and what goes instead, which it ends with.

    >>> _reason_and_fix("it has no linear layers: use full")
    ('it has no linear layers', 'Use full.')
    """
    why, colon, advice = reason.rpartition(": ")
    return (why, f"{advice[:1].upper()}{advice[1:]}.") if colon else (reason, "See docs/architecture.md, Adapting.")


def choose_parts(  # noqa: PLR0917 - one caller
    card: EncoderCard,
    first: Segmenter | None,
    decoder: str,
    method: str,
    decoder_options: Mapping[str, Any] | None,
    method_options: Mapping[str, Any] | None,
) -> Parts:
    """Decoder and method as they stand in the card; ``decoder`` is a kind, that of the start where there is one.

    Raises:
        InputError: names or options that do not exist, or a combination that makes no sense.
    """
    from histoseed.segmenters import ClassifierEntry, MethodOptions, kind_of

    _check_combination(card, decoder, method)
    before = first.card.method if first else None
    if before is not None and before.name in ADDING and before.name != method:
        fix = f"Use --method {before.name}, or start from the encoder."
        raise InputError(f"The start was adapted by {before.name}, not by {method}.", where="--method", fix=fix)
    kind = kind_of(decoder)
    if first is not None and decoder_options:
        raise _fixed_decoder(decoder, _fields(kind.entry), next(iter(decoder_options)))
    return Parts(
        first.card.decoder if first else _checked(kind.entry, decoder_options, "decoder"),
        first.card.postprocessing if first else kind.processing(),
        _checked(MethodOptions, {**(method_options or {}), "name": method}, "method"),
        first.card.classifier if first else ClassifierEntry(),
    )


def _fixed_decoder(decoder: str, fields: Sequence[str], named: str) -> InputError:
    """What is said where a field of a decoder is set that is trained already."""
    what = "The start gives the decoder as it is." if named in fields else f"The decoder {decoder} has no such field."
    fix = (
        f"Leave it out: the fields of {decoder} ({', '.join(fields)}) stay as they were trained. Those of a decoder "
        "that begins anew can be set: name another --decoder, or --weights random, hub or a file."
    )
    return InputError(what, where=f"--set decoder.{named}", fix=fix)


def _fields(entry: Any) -> list[str]:
    """What ``--set`` can name; kind and name have options of their own."""
    return [name for name in getattr(entry, "model_fields", {}) if name not in {"kind", "name"}]


def _checked(entry: Callable[..., Any], options: Mapping[str, Any] | None, what: str) -> Any:
    try:
        return entry(**(options or {}))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        said = "There is no such field" if first["type"] == "extra_forbidden" else first["msg"]
        fix = f"Fields are {', '.join(_fields(entry))}."
        raise InputError(f"{said}.", where=f"--set {what}.{field}", fix=fix) from error
