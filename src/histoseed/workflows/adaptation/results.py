"""What a run of ``adapt`` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from histoseed.files import write_bytes, write_json
from histoseed.pictures import loss_curve
from histoseed.workflows.adaptation.fitting import Fit
from histoseed.workflows.annotated import Annotated
from histoseed.workflows.runs import Run

if TYPE_CHECKING:
    from histoseed.segmenters import ModelCard, Segmenter

__all__ = ["write_model"]


def write_model(model: Segmenter, run: Run, fit: Fit, annotated: Annotated) -> None:
    """The model folder, the history and its plot; the card tells how the fit went."""
    from histoseed.segmenters import write_model_files

    card: ModelCard = model.card
    facts = {
        "protocol": "histoseed",
        "score": fit.name,
        "key": fit.key,
        fit.key: fit.score,
        "before_averaging": fit.before if fit.start_share else None,
        "instances": annotated.instances,
    }
    training = card.training if fit.start_share is None else {**card.training, "start_share": fit.start_share}
    model.card = card.model_copy(update={"metrics": (*card.metrics, facts), "training": training})
    model.card = write_model_files(model, run.folder)
    write_json(run.path("history.json"), fit.history)
    named = f"{fit.name}, before averaging" if fit.start_share else fit.name
    parts = [key for key in fit.history[0] if key not in {"step", "loss", "learning_rate", fit.key}]
    plot = loss_curve(fit.history, parts=parts, rate="learning_rate", score=fit.key, score_name=named)
    write_bytes(run.path("loss.png"), plot)
