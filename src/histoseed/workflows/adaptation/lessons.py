"""What a model of each task learns from: classes, annotated patches, training pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from histoseed.datasets import ClassInfo, Dataset, Patch
from histoseed.workflows.adaptation.area_lessons import AreaLessons, area_options
from histoseed.workflows.adaptation.kinds import check_start, trained_by
from histoseed.workflows.annotated import Annotated, Order, draw_patches, pictures_of

if TYPE_CHECKING:
    from histoseed.segmenters import Segmenter, Task
    from histoseed.training import Picture

__all__ = ["Lessons", "NucleusLessons", "lessons_of", "task_options"]


class Lessons(Protocol):
    """A data set as a model of one task sees it."""

    @property
    def data(self) -> Dataset:
        """The data set."""

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """Classes of the model."""

    def draw(
        self,
        count: int | None,
        seed: int,
        *,
        nuclei: int | None = None,
        mpp: float | None = None,
        order: Order | None = None,
    ) -> Annotated:
        """The annotated patches of a run; arguments as in :func:`histoseed.workflows.annotated.draw_patches`."""

    def check(self, annotated: Annotated, first: Segmenter | None) -> None:
        """Refuse what cannot teach a model that starts so."""

    def pictures(
        self, patches: list[Patch], model_mpp: float, *, mpp: float | None, ignore_unlabelled: bool
    ) -> list[Picture]:
        """Patches as the training room wants them, see :func:`histoseed.workflows.annotated.pictures_of`."""

    def trained(self, annotated: Annotated) -> str:
        """What was learned, in a sentence."""


@dataclass(frozen=True, slots=True)
class NucleusLessons:
    """Nuclei one by one: outlines, boxes and points."""

    data: Dataset

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """See :class:`Lessons`."""
        return self.data.classes

    def draw(
        self,
        count: int | None,
        seed: int,
        *,
        nuclei: int | None = None,
        mpp: float | None = None,
        order: Order | None = None,
    ) -> Annotated:
        """See :class:`Lessons`."""
        return draw_patches(self.data, count, seed, nuclei=nuclei, mpp=mpp, order=order)

    def check(self, annotated: Annotated, first: Segmenter | None) -> None:
        """See :class:`Lessons`."""
        check_start(annotated.kinds, first)

    def pictures(
        self, patches: list[Patch], model_mpp: float, *, mpp: float | None, ignore_unlabelled: bool
    ) -> list[Picture]:
        """See :class:`Lessons`."""
        return pictures_of(patches, model_mpp, mpp=mpp, ignore_unlabelled=ignore_unlabelled)

    def trained(self, annotated: Annotated) -> str:
        """See :class:`Lessons`."""
        return trained_by(annotated.kinds)


def _nuclei(data: Dataset, decoder: Any, crop_um: float) -> Lessons:
    del decoder, crop_um
    return NucleusLessons(data)


_LESSONS: Mapping[Task, Callable[[Dataset, Any, float], Lessons]] = MappingProxyType(
    {"instance": _nuclei, "semantic": AreaLessons}
)


def task_options(task: Task, data: Dataset, options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Options of a new decoder, with those that follow from the data set where the caller gives none."""
    return area_options(data, options) if task == "semantic" else dict(options or {})


def lessons_of(task: Task, data: Dataset, decoder: Any, *, crop_um: float) -> Lessons:
    """The data set for a model of this task.

    Args:
        task: Of the model.
        data: The data set.
        decoder: The decoder's entry in the model's card.
        crop_um: Side of a crop of the training, micrometres.

    Raises:
        DatasetError: the data set has nothing of what the decoder is to learn.
    """
    return _LESSONS[task](data, decoder, crop_um)
