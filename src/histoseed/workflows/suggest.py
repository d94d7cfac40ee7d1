"""``suggest``: where the next annotations help most."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoseed.datasets import CROP_UM
from histoseed.errors import InputError
from histoseed.wording import agreed, counted
from histoseed.workflows.models import model_folder
from histoseed.workflows.progress import Progress, Silent
from histoseed.workflows.runs import open_run
from histoseed.workflows.suggestion import (
    Annotated,
    Curve,
    Eyes,
    Place,
    Source,
    Sources,
    Suggestion,
    Training,
    choose_places,
    measure_curve,
    open_eyes,
    places_of,
    sources_of,
    thin_out,
    write_suggestions,
)

if TYPE_CHECKING:
    from histoseed.segmenters import Segmenter

__all__ = ["Suggestions", "suggest"]

CANDIDATES = 400
"""Places that are looked at, by default; more cost time and change little."""
_KNOWN = 200
"""Annotated places that are looked at, at most."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What ``suggest`` proposes.

    Args:
        regions: The regions, best first.
        how: ``diverse``: they stand for all that is to be seen; ``uncertain``: the model is unsure there, too.
        candidates: Places that were looked at.
        places: Places with tissue that are not annotated.
        annotated: Places that are annotated.
        source: What was looked at.
        network: Whose embeddings were compared.
        curve: The learning curve so far, where it was asked for.
    """

    regions: tuple[Suggestion, ...]
    how: str
    candidates: int
    places: int
    annotated: int
    source: str
    network: str
    curve: Curve | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "source": self.source,
            "how": self.how,
            "network": self.network,
            "places": self.places,
            "candidates": self.candidates,
            "annotated": self.annotated,
            "regions": [region.as_dict() for region in self.regions],
            "curve": None if self.curve is None else self.curve.as_dict(),
        }


def suggest(
    source: Source,
    *,
    n: int = 5,
    model: Segmenter | Path | str | None = None,
    annotated: Annotated = None,
    encoder: str = "bundled",
    weights: str | Path | None = None,
    out: Path | str | None = None,
    size_um: float = CROP_UM,
    candidates: int = CANDIDATES,
    curve: bool = False,
    mpp: float | None = None,
    seed: int = 0,
    device: str = "auto",
    dtype: str = "auto",
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Suggestions:
    """Propose regions to annotate.

    Without a model they are spread in embedding space, so that a few stand for all that is to be seen and for what is
    not annotated yet; with a model they are those of which it is unsure, that differ from one another and from what is
    annotated, and that are like many others.

    Args:
        source: A slide, several slides, or a data set.
        n: How many regions.
        model: ``bundled``, a model folder or a model in memory: the one that is to learn from the annotations.
        annotated: What is annotated already: a GeoJSON file or instances of the only slide, or a data set
            whose patch ids are those of ``source``; ``none`` says that nothing is. None takes the objects of a data set
            itself, and nothing on slides.
        encoder: Whose embeddings are compared; of no account with a model, whose own encoder is taken.
        weights: Of the encoder, as in :func:`histoseed.adapt`.
        out: Folder for ``regions.geojson`` (of a data set ``regions/<patch>.geojson``), ``regions.json``,
            ``overview.png``, ``regions.png`` and ``run.json``; None writes nothing.
        size_um: Side of a region, micrometres.
        candidates: Most places that are looked at; of more, a choice that is spread over slides.
        curve: Also train on more and more of what is annotated, and say what the next region should bring. It takes
            fifteen trainings, and a data set with outlines in two groups or more.
        mpp: Microns per pixel, where a slide does not say it or says it wrong, or a patch states none.
        seed: Of the random choices.
        device: ``auto``, ``cpu``, ``cuda``...
        dtype: Precision of the model: ``auto``, ``float32``, ``bfloat16``.
        overwrite: Replace an earlier run at ``out``.
        progress: Told about every place.

    Raises:
        HistoseedError: see :mod:`histoseed.errors`; nothing is written then.
    """
    if n < 1 or candidates < n:
        what = f"{counted(n, 'region')} of {counted(candidates, 'candidate')} cannot be chosen."
        raise InputError(what, where="--n, --candidates", fix="Ask for at least one region, and for more candidates.")
    told = progress or Silent()
    eyes = open_eyes(model, encoder, weights, size_um, device=device, dtype=dtype)
    sources = sources_of(source, annotated, mpp=mpp, limit=candidates, seed=seed)
    if curve and (sources.annotated is None or not (model is None or isinstance(model, str | Path))):
        what = "A learning curve needs a data set with outlines, and a model that lies in a folder, or none."
        raise InputError(what, where="--curve", fix="Leave it out.")
    training = Training(None if model is None else str(model), encoder, weights, mpp, device, dtype) if curve else None
    wanted = _Wanted(n, size_um, candidates, seed, training)
    if out is None:
        with tempfile.TemporaryDirectory() as scratch:
            return wanted.find(sources, eyes, Path(scratch), told)
    inputs = sources.inputs | ({"model": model_folder(model)} if isinstance(model, str | Path) else {})
    settings = {
        "n": n, "size_um": size_um, "candidates": candidates, "mpp": mpp, "network": eyes.name, "curve": curve,
        "annotated": "none" if annotated == "none" else None,
    }  # fmt: skip
    with open_run(
        Path(out), verb="suggest", inputs=inputs, settings=settings, seed=seed, overwrite=overwrite, **eyes.machine()
    ) as run:
        work = run.path(".work")
        work.mkdir(exist_ok=True)
        found = wanted.find(sources, eyes, work, told)
        write_suggestions(run, found.regions, sources, found.as_dict(), found.curve)
        shutil.rmtree(work)
        run.finish({"regions": len(found.regions), "how": found.how})
    return found


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is asked for; arguments as in :func:`suggest`."""

    n: int
    size_um: float
    candidates: int
    seed: int
    training: Training | None

    def find(self, sources: Sources, eyes: Eyes, work: Path, told: Progress) -> Suggestions:
        """Look, choose, and measure the learning curve where it is asked for; ``work`` keeps what that needs."""
        told.start(len(sources.fields), "slides", "Finding tissue")
        places: list[Place] = []
        for field in sources.fields:
            places += places_of(field, self.size_um)
            told.advance(1, places=len(places))
        told.done()
        fresh, done = ([place for place in places if place.annotated == known] for known in (False, True))
        if len(fresh) < self.n and (fresh or self.training is None):
            raise _too_few(self.n, fresh, done)
        regions = self._choose(fresh, done, eyes, told) if fresh else []
        how = "diverse" if eyes.model is None else "uncertain"
        curve = None
        if self.training is not None and sources.annotated is not None:
            curve = measure_curve(sources.annotated, self.training, work, told)
        seen = min(len(fresh), self.candidates)
        return Suggestions(tuple(regions), how, seen, len(fresh), len(done), sources.name, eyes.name, curve)

    def _choose(self, fresh: Sequence[Place], done: Sequence[Place], eyes: Eyes, told: Progress) -> list[Suggestion]:
        chosen, known = self._some(fresh, self.candidates), self._some(done, _KNOWN)
        told.start(len(chosen) + len(known), "places", f"Looking at {len(chosen):,} of {counted(len(fresh), 'place')}")
        looks, seen = eyes.look(chosen, told, ask=True), eyes.look(known, told, ask=False)
        told.done()
        return choose_places(chosen, looks, seen, self.n, self.seed)

    def _some(self, places: Sequence[Place], limit: int) -> list[Place]:
        return [places[i] for i in thin_out([place.field.group for place in places], limit, self.seed)]


def _too_few(n: int, fresh: Sequence[Place], done: Sequence[Place]) -> InputError:
    if done and not fresh:
        fix = "Use --annotated to say what is (none: nothing), or --curve for what another region would bring."
        return InputError("Everything with tissue is annotated.", where="suggest", fix=fix)
    there = agreed("There {is|are} {count} {place|places} with tissue that {is|are} not annotated", len(fresh))
    what = f"{there}; {n:,} asked for."
    return InputError(what, where="suggest", fix="Ask for fewer, or for smaller ones with --size.")
