"""An untrained model for the classes of a data set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from histoseed._version import __version__
from histoseed.encoders import EncoderCard, build_encoder
from histoseed.licences import commercial_use
from histoseed.wording import adapted_name
from histoseed.workflows.adaptation.lessons import Lessons
from histoseed.workflows.adaptation.parts import ADDING, Parts
from histoseed.workflows.annotated import Annotated

if TYPE_CHECKING:
    from histoseed.segmenters import Segmenter, TrainingData
    from histoseed.training import TrainingPlan

__all__ = ["new_model"]


def new_model(  # noqa: PLR0917 - one caller
    lessons: Lessons,
    annotated: Annotated,
    first: Segmenter | None,
    card: EncoderCard,
    weights: str | Path,
    scale: float,
    plan: TrainingPlan,
    parts: Parts,
    *,
    name: str | None,
    body: Segmenter | None = None,
    seen: tuple[TrainingData, ...] = (),
) -> Segmenter:
    """An untrained model for the classes of the data set, with the weights of the start where they fit.

    ``body`` is a model of another task whose decoder is the start, ``seen`` what the weights have seen before.
    """
    import torch

    from histoseed.segmenters import (
        ClassEntry,
        EncoderEntry,
        ModelCard,
        Segmenter,
        TrainingData,
        kind_of,
        prepare,
        start_from,
    )
    from histoseed.segmenters.methods.options import CHANGING
    from histoseed.segmenters.model import is_model_file

    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        built = build_encoder(card, weights="random" if first else weights, seed=plan.seed, image_size=plan.crop)
    # What training changed before, here or in the model that the weights are taken from, no hub has.
    before = first.card.encoder_changed if first else is_model_file(weights)
    if first:
        entry = first.card.encoder
    else:
        entry = EncoderEntry(
            name=card.name,
            weights=str(weights),
            stored=str(weights) != "hub",
            revision=built.card.revision,
            sha256=built.card.sha256,
            licence=card.licence,
            commercial=card.commercial,
        )
    entry = entry.model_copy(
        update={
            "stored": entry.stored or before or plan.method == "full",
            "frozen": plan.method == "frozen",
            "changed": before or plan.method in CHANGING,
        }
    )
    data = lessons.data
    now = TrainingData(
        name=data.name,
        licence=data.info.licence,
        commercial=commercial_use(data.info.licence),
        patches=len(annotated.patches),
        instances=annotated.instances,
        kinds=annotated.kinds,
        trained=lessons.trained(annotated),
        groups=annotated.groups,
    )
    new = ModelCard(
        histoseed=__version__,
        name=name or adapted_name(card.name, [data.name]),
        task=kind_of(parts.decoder.kind).task,
        classes=tuple(ClassEntry(name=c.name, color=c.color) for c in lessons.classes),
        mpp=scale,
        crop=plan.crop,
        stain=annotated.stain,
        encoder=entry,
        decoder=parts.decoder,
        classifier=parts.classifier,
        method=parts.method,
        postprocessing=parts.processing,
        data=(*seen, now),
        training={"method": plan.method, "steps": plan.steps, "seed": plan.seed, "learning_rate": plan.learning_rate},
    )
    with torch.random.fork_rng():
        torch.manual_seed(plan.seed)
        if first is not None and (first.card.method is None or first.card.method.name not in ADDING):
            # Before the method gives some of its layers other names.
            built.load_state_dict(first.encoder.state_dict())
        model = Segmenter(prepare(built, plan.method, parts.method, seed=plan.seed), new)
    if other := first or body:
        start_from(model, other)
    return model
