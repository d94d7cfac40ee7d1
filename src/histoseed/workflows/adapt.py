"""``adapt``: a foundation encoder and a few annotated patches become a segmenter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ValidationError

from histoseed._version import __version__
from histoseed.datasets import Dataset, read_dataset
from histoseed.encoders import EmbeddingCache, EncoderCard, build_encoder, choose_encoder, get_card
from histoseed.encoders.cards import commercial_use
from histoseed.errors import InputError
from histoseed.files import write_bytes, write_json
from histoseed.geometry import known_mpp
from histoseed.pictures import loss_curve
from histoseed.settings import read_settings
from histoseed.workflows.annotated import Annotated, draw_patches, pictures_of
from histoseed.workflows.models import choose_device, choose_dtype, load_model
from histoseed.workflows.progress import Progress, Silent
from histoseed.workflows.runs import Run, open_run

if TYPE_CHECKING:
    from histoseed.segmenters import ClassifierEntry, MethodOptions, ModelCard, Segmenter
    from histoseed.training import TrainingPlan

__all__ = ["adapt", "default_plan"]

MODEL_MPP = 0.25
"""Resolution of a model whose encoder does not come with a trained decoder."""

_ADDING = ("lora", "adapter", "side-branch")
"""Methods that add weights to an encoder, or give some of its layers other names."""

Validation = Literal["none", "within"]


def default_plan(*, trained: bool, **changes: Any) -> TrainingPlan:
    """Settings of the loop: gentle where a trained decoder is the start, stronger where it is not."""
    from histoseed.training import TrainingPlan

    plan = TrainingPlan(steps=80, learning_rate=1e-3) if trained else TrainingPlan(steps=600, learning_rate=2e-3)
    return replace(plan, **{name: value for name, value in changes.items() if value is not None})


def adapt(
    dataset: Dataset | Path | str,
    *,
    out: Path | str,
    encoder: str = "bundled",
    weights: str | Path | None = None,
    start: str | Path | None = None,
    patches: int | None = None,
    seed: int = 0,
    decoder: str | None = None,
    method: str | None = None,
    classifier: Literal["map", "tokens"] | None = None,
    decoder_options: Mapping[str, Any] | None = None,
    method_options: Mapping[str, Any] | None = None,
    steps: int | None = None,
    batch: int | None = None,
    learning_rate: float | None = None,
    start_share: float | None = None,
    mpp: float | None = None,
    model_mpp: float | None = None,
    ignore_unlabelled: bool = False,
    validation: Validation = "none",
    name: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Segmenter:
    """Adapt an encoder to a data set from a few annotated patches, and write the model folder.

    Args:
        dataset: Data set in the common format. Where it has a split, only "train" is used.
        out: Folder of the model: ``model.safetensors``, ``model.json``, ``run.json``, ``history.json``, ``loss.png``.
            An interrupted run with equal inputs and settings is resumed.
        encoder: Name of an encoder card; ``bundled`` starts from the bundled encoder *and* decoder.
        weights: ``hub``, ``random``, ``bundled`` or a file; by default bundled for ``bundled``, else hub.
        start: A model folder to start from instead; its encoder, resolution and decoder are taken over.
        patches: Number of annotated patches: crops of 64 um. None takes everything.
        seed: Of the draw of the patches and of the training.
        decoder: A name of :data:`histoseed.segmenters.KINDS`; None takes that of the start, else ``skip``. A start
            gives its decoder, so that any other begins with the encoder alone.
        method: A name of :data:`histoseed.segmenters.METHODS`: ``frozen`` trains the decoder on stored features of
            fixed augmented views, ``full`` everything. None takes ``full`` where the start is a trained model with the
            small bundled encoder, else ``frozen``.
        classifier: Where classes come from: ``map``: a map of the decoder; ``tokens``: the encoder's tokens in the box
            of each cell, as in CellViT++. None takes that of the start, else ``map``.
        decoder_options: Fields of the decoder's entry in ``model.json`` that differ from its defaults.
        method_options: Fields of :class:`histoseed.segmenters.MethodOptions` that differ from its defaults.
        steps: Optimiser steps; None takes 80 from a trained decoder, 600 from an untrained one.
        batch: Crops a step.
        learning_rate: Peak of the schedule.
        start_share: Weight of the start when its weights are averaged with the adapted ones at the end, 0 to 1. None
            takes 0.5 where the start reaches two thirds of the adapted score on the annotated patches, else 0; see
            :func:`histoseed.training.keep_of_start`. Only where the method adds nothing to the encoder.
        mpp: Microns per pixel to assume where the data set states none.
        model_mpp: Microns per pixel of the network; None takes that of the start, else 0.25.
        ignore_unlabelled: Patches are partly annotated: only what lies within 2 um of an object counts as background.
        validation: ``none`` trains a fixed number of steps; ``within`` keeps a quarter of the drawn patches apart and
            returns the weights that did best on them.
        name: Name of the model; by default that of the data set.
        device: ``auto``, ``cpu``, ``cuda``...
        dtype: ``auto``, ``float32``, ``bfloat16``.
        overwrite: Replace what stands at ``out``.
        progress: Told about every step.

    Returns:
        The adapted model.

    Raises:
        HistoseedError: see :mod:`histoseed.errors`; nothing is written then.
    """
    from histoseed.segmenters import ClassifierEntry
    from histoseed.training import keep_of_start, measured_quality, train

    if model_mpp is not None and known_mpp(model_mpp) is None:
        fix = "Leave it out, or give for instance 0.25."
        raise InputError(f"{model_mpp} microns per pixel are not believable.", where="model_mpp", fix=fix)
    if start_share is not None and not 0 <= start_share <= 1:
        raise InputError(f"A share of {start_share}.", where="--start-share", fix="Give a number from 0 to 1.")
    data = dataset if isinstance(dataset, Dataset) else read_dataset(dataset)
    place = choose_device(device)
    precision = choose_dtype(dtype, place)
    annotated = draw_patches(data, patches, seed, mpp=mpp)
    chosen = choose_encoder(encoder, weights)
    weights = chosen.weights
    first = _start_model(encoder, weights, start, decoder)
    card = get_card(first.card.encoder.name) if first else chosen.card
    scale = model_mpp or (first.card.mpp if first else MODEL_MPP)
    if method is None:
        method = "full" if first is not None and first.card.encoder.name == "bundled" else "frozen"
    parts = _parts(card, first, decoder, method, decoder_options, method_options)
    if start_share and method in _ADDING:
        fix = "Leave it out, or use --method full."
        raise InputError(f"Weights of {method} have no start to be averaged with.", where="--start-share", fix=fix)
    plan = default_plan(
        trained=first is not None, seed=seed, method=method, steps=steps, batch=batch, learning_rate=learning_rate
    )
    pictures = pictures_of(annotated.patches, scale, mpp=mpp, ignore_unlabelled=ignore_unlabelled)
    kept_apart = max(1, len(pictures) // 4) if validation == "within" else 0
    if kept_apart and len(pictures) < 2:
        raise InputError("One patch cannot be split.", where="--validation within", fix="Use --validation none.")
    if classifier is not None:
        parts = replace(parts, classifier=ClassifierEntry(kind=classifier))
    model = _new_model(data, annotated, first, card, weights, scale, plan, parts, name=name).to(place)
    settings = {
        "encoder": encoder,
        "weights": str(weights),
        "start": None if start is None else str(start),
        "patches": patches,
        "model_mpp": scale,
        "mpp": mpp,
        "ignore_unlabelled": ignore_unlabelled,
        "validation": validation,
        "start_share": start_share,
        "decoder": parts.decoder.model_dump(mode="json"),
        "classifier": parts.classifier.model_dump(mode="json"),
        "method": parts.method.model_dump(mode="json"),
        "plan": asdict(plan),
    }
    inputs = {"dataset": data.path} | ({"start": Path(start)} if start is not None else {})
    if str(weights) not in {"hub", "random", "bundled"}:
        inputs["weights"] = Path(weights)
    told = progress or Silent()
    with open_run(
        Path(out),
        verb="adapt",
        inputs=inputs,
        settings=settings,
        overwrite=overwrite,
        seed=seed,
        device=place,
        dtype=str(precision),
    ) as run:
        told.start(plan.steps, "steps", f"Adapting {encoder} to {data.name} ({len(pictures)} patches)")
        limits = read_settings()
        history = train(
            model,
            pictures[kept_apart:],
            plan,
            validation=pictures[:kept_apart],
            checkpoint=run.path("checkpoint.safetensors"),
            cache=EmbeddingCache(limits.cache_dir / "embeddings", limits.cache_bytes)
            if plan.method == "frozen"
            else None,
            dtype=precision,
            on_step=_reporter(told),
        )
        told.done()
        kept = None
        if first is not None and method not in _ADDING:
            kept = keep_of_start(
                model, first.to(place), pictures[kept_apart:], plan,
                share=start_share, validation=pictures[:kept_apart], dtype=precision,
            )  # fmt: skip
            model.card = model.card.model_copy(update={"training": {**model.card.training, "start_share": kept}})
        quality = measured_quality(model, pictures[:kept_apart] or pictures, plan, precision)
        facts = {"score": "validation PQ" if kept_apart else "PQ of the fit", "pq": quality}
        _write_model(model, run, history, annotated, facts)
        run.path("checkpoint.safetensors").unlink(missing_ok=True)
        run.finish(
            {
                "patches": [p.patch_id for p in annotated.patches],
                "instances": annotated.instances,
                "start_share": kept,
            }
        )
    return model.eval()


def _reporter(told: Progress) -> Callable[[dict[str, float | None]], None]:
    """Turns rows of the history into progress, with the last known panoptic quality."""
    last: dict[str, float] = {}

    def report(row: dict[str, float | None]) -> None:
        last.update({key: value for key in ("loss", "pq") if (value := row[key]) is not None})
        told.advance(1, **last)

    return report


@dataclass(frozen=True, slots=True)
class _Parts:
    """The checked choice of a decoder and a method."""

    decoder: Any
    processing: Any
    method: MethodOptions
    classifier: ClassifierEntry


def _start_model(encoder: str, weights: str | Path, start: str | Path | None, decoder: str | None) -> Segmenter | None:
    """The trained model whose decoder is the start, if any."""
    if start is not None:
        first = load_model(start)
        kind = first.card.decoder.kind
        if decoder not in {None, kind}:
            fix = "Leave --decoder out, or name an --encoder instead of a --start."
            raise InputError(f"The start has the decoder {kind}, not {decoder}.", where="--decoder", fix=fix)
        return first
    if encoder == "bundled" and str(weights) == "bundled" and decoder in {None, "skip"}:
        return load_model("bundled")
    return None


def _parts(  # noqa: PLR0917 - one caller
    card: EncoderCard,
    first: Segmenter | None,
    decoder: str | None,
    method: str,
    decoder_options: Mapping[str, Any] | None,
    method_options: Mapping[str, Any] | None,
) -> _Parts:
    """Decoder and method as they stand in the card.

    Raises:
        InputError: names or options that do not exist, or a combination that makes no sense.
    """
    from histoseed.segmenters import ClassifierEntry, MethodOptions, kind_of, why_not

    name = decoder or (first.card.decoder.kind if first else "skip")
    reason = why_not(card, name, method)
    if reason is not None:
        raise InputError(
            f"{card.name} with {name} and {method}: {reason}.",
            where="--method",
            fix="See docs/architecture.md, section Adapting.",
        )
    before = first.card.method if first else None
    if before is not None and before.name in _ADDING and before.name != method:
        fix = f"Use --method {before.name}, or start from the encoder."
        raise InputError(f"The start was adapted by {before.name}, not by {method}.", where="--method", fix=fix)
    kind = kind_of(name)
    if first is not None and decoder_options:
        raise InputError("The start gives the decoder as it is.", where="--set decoder", fix="Leave the option out.")
    return _Parts(
        first.card.decoder if first else _checked(kind.entry, decoder_options, "decoder"),
        first.card.postprocessing if first else kind.processing(),
        _checked(MethodOptions, {**(method_options or {}), "name": method}, "method"),
        first.card.classifier if first else ClassifierEntry(),
    )


def _checked(entry: Callable[..., Any], options: Mapping[str, Any] | None, what: str) -> Any:
    try:
        return entry(**(options or {}))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"]))
        names = ", ".join(getattr(entry, "model_fields", {}))
        raise InputError(f"{first['msg']}.", where=f"--set {what}.{field}", fix=f"Fields are {names}.") from error


def _new_model(  # noqa: PLR0917 - one caller
    data: Dataset,
    annotated: Annotated,
    first: Segmenter | None,
    card: EncoderCard,
    weights: str | Path,
    scale: float,
    plan: TrainingPlan,
    parts: _Parts,
    *,
    name: str | None,
) -> Segmenter:
    """An untrained model for the classes of the data set, with the weights of the start where they fit."""
    import torch

    from histoseed.segmenters import (
        ClassEntry,
        EncoderEntry,
        ModelCard,
        Segmenter,
        TrainingData,
        prepare,
        start_from,
    )

    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        built = build_encoder(card, weights="random" if first else weights, seed=plan.seed, image_size=plan.crop)
    stored = first is not None or plan.method == "full" or str(weights) != "hub"
    entry = (
        first.card.encoder.model_copy(update={"frozen": plan.method == "frozen"})
        if first
        else EncoderEntry(
            name=card.name,
            weights=str(weights),
            stored=stored,
            frozen=plan.method == "frozen",
            revision=built.card.revision,
            sha256=built.card.sha256,
            licence=card.licence,
            commercial=card.commercial,
        )
    )
    seen = TrainingData(
        name=data.name,
        licence=data.info.licence,
        commercial=commercial_use(data.info.licence),
        patches=len(annotated.patches),
        instances=annotated.instances,
        groups=annotated.groups,
    )
    new = ModelCard(
        histoseed=__version__,
        name=name or f"{card.name} adapted to {data.name}",
        classes=tuple(ClassEntry(name=c.name, color=c.color) for c in data.classes),
        mpp=scale,
        crop=plan.crop,
        encoder=entry,
        decoder=parts.decoder,
        classifier=parts.classifier,
        method=parts.method,
        postprocessing=parts.processing,
        data=(*(first.card.data if first else ()), seen),
        training={"method": plan.method, "steps": plan.steps, "seed": plan.seed, "learning_rate": plan.learning_rate},
    )
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        if first is not None and (first.card.method is None or first.card.method.name not in _ADDING):
            # Before the method gives some of its layers other names.
            built.load_state_dict(first.encoder.state_dict())
        model = Segmenter(prepare(built, plan.method, parts.method, seed=plan.seed), new)
    if first:
        start_from(model, first)
    return model


def _write_model(
    model: Segmenter, run: Run, history: list[Any], annotated: Annotated, score: dict[str, str | float | None]
) -> None:
    """The model folder, the history and its plot; ``score`` is that of the final weights."""
    from histoseed.segmenters import write_model_files

    card: ModelCard = model.card
    facts = {"protocol": "histoseed", **score, "instances": annotated.instances}
    model.card = card.model_copy(update={"metrics": (*card.metrics, facts)})
    model.card = write_model_files(model, run.folder)
    write_json(run.path("history.json"), history)
    parts = [key for key in history[0] if key not in {"step", "loss", "learning_rate", "pq"}]
    write_bytes(
        run.path("loss.png"),
        loss_curve(history, parts=parts, rate="learning_rate", score="pq", score_name=str(score["score"])),
    )
