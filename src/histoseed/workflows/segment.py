"""``segment``: every nucleus, or every area, of a patch, a region or a whole slide."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from histoseed.annotations import Instances
from histoseed.errors import InputError
from histoseed.geometry import Region
from histoseed.slides import Slide, open_slide
from histoseed.wording import counted
from histoseed.workflows.fingerprints import fingerprint, fingerprint_bytes
from histoseed.workflows.memory import explains_memory, smaller_tiles
from histoseed.workflows.progress import Progress, Silent
from histoseed.workflows.runs import Run, open_run, run_status
from histoseed.workflows.segment_plan import ModelOptions, Plan, known_resolution, whole_pixels

__all__ = ["segment", "segment_slides"]

RegionLike = Region | tuple[float, float, float, float]


@explains_memory(smaller_tiles)
def segment(
    source: str | Path | npt.NDArray[np.uint8],
    *,
    mpp: float | None = None,
    region: RegionLike | None = None,
    out: str | Path | None = None,
    formats: Sequence[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Unpack[ModelOptions],
) -> Instances:
    """Segment one image or slide.

    Args:
        source: A file that :func:`histoseed.open_slide` reads, or an image (H, W, 3) uint8.
        mpp: Microns per pixel, where the file does not say it or says it wrong.
        region: x, y, width, height in level-0 pixels; None takes the whole slide. An object belongs to the region when
            its centroid does, an area is cut at its border; what surrounds the region is seen as context.
        out: Folder for ``nuclei.geojson``, ``nuclei.parquet/``, ``labels.tif``, ``overlay.png``, ``summary.json`` and
            ``run.json``; of a semantic model for ``areas.geojson`` and ``classes.tif`` instead of the first three. None
            writes nothing. An interrupted run with equal inputs and settings is resumed.
        formats: Which of the files to write: geojson, parquet, labels, overlay; of a semantic model geojson, classes,
            overlay. None writes all of them.
        overwrite: Replace an earlier run at ``out``.
        progress: Told about every tile.
        **options: See :class:`~histoseed.workflows.segment_plan.ModelOptions`; ``model="bundled"`` by default.

    Returns:
        The objects in level-0 pixels. ``score`` is the mean foreground probability over an object's pixels. Where the
        model has classes, ``class_name`` is the one of greatest summed probability, and the probabilities stand among
        the measurements. Of a semantic model, the connected areas with their class, and neither score nor measurements.

    Raises:
        HistoseedError: see :mod:`histoseed.errors`; nothing is written then.
    """
    told = progress or Silent()
    with _opened(source, mpp) as slide:
        known_resolution(slide)
        plan = Plan.of(options)
        job = _Job(plan.stained(slide), plan, whole_pixels(region, slide.size), _identity(source, slide), told)
        if out is None:
            grid = plan.grid(slide, job.region)
            instances = plan.work(job.slide, grid, job.slide_id).all(job.watcher(len(grid)))
            told.done()
            return instances
        chosen = plan.formats(formats)
        with open_run(Path(out), overwrite=overwrite, **job.described(chosen)) as run:
            return job.write(run, chosen, keep=True)[1]


@explains_memory(smaller_tiles)
def segment_slides(
    sources: Sequence[str | Path],
    *,
    out: str | Path,
    mpp: float | None = None,
    formats: Sequence[str] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **options: Unpack[ModelOptions],
) -> dict[str, dict[str, Any]]:
    """Segment several slides into ``OUT/<stem>/``.

    A slide that turns out to be damaged does not stop the others; what went wrong is raised at the end. When the run is
    resumed, slides that are done are left alone.

    Args:
        sources: Files; every one must open before anything is written.
        out: The folder.
        mpp: As in :func:`segment`, for all of them.
        formats: As in :func:`segment`.
        overwrite: As in :func:`segment`.
        progress: Told about every tile of every slide.
        **options: As in :func:`segment`.

    Returns:
        Folder name -> content of its ``summary.json``.

    Raises:
        HistoseedError: see :mod:`histoseed.errors`.
    """
    told = progress or Silent()
    named = _folder_names([Path(source) for source in sources])
    for path in named.values():
        with open_slide(path, mpp=mpp) as slide:
            known_resolution(slide)
    plan = Plan.of(options)
    chosen = plan.formats(formats)
    settings = plan.settings() | {"mpp": mpp, "formats": list(chosen)}
    several = _Several(plan, mpp, chosen, told)
    summaries: dict[str, dict[str, Any]] = {}
    failed: dict[str, str] = {}
    inputs = named | _model_input(plan)
    with open_run(
        Path(out), verb="segment", inputs=inputs, settings=settings, overwrite=overwrite, **plan.machine()
    ) as run:
        summaries.update(run.manifest.get("done", {}))
        for name, path in named.items():
            if name in summaries:
                continue
            try:
                summaries[name] = several.segment(path, run.path(name))
            except InputError as error:
                failed[name] = str(error)
            run.record(done=summaries, failed=failed)
        run.finish({"slides": len(summaries), "failed": len(failed)})
    if failed:
        first = next(iter(failed.values()))
        what = f"{len(failed)} of {counted(len(named), 'slide')} could not be segmented; the first: {first}"
        raise InputError(what, where=out)
    return summaries


@dataclass(frozen=True, slots=True)
class _Job:
    """One slide, one model, one region."""

    slide: Slide
    plan: Plan
    region: Region
    slide_id: str
    told: Progress

    def described(self, formats: tuple[str, ...]) -> dict[str, Any]:
        """Arguments of :func:`open_run`."""
        r = self.region
        inputs = ({"slide": self.slide.path} if self.slide.path.is_file() else {}) | _model_input(self.plan)
        settings = self.plan.settings() | {
            "slide": self.slide_id,
            "mpp": self.slide.mpp,
            "region": [int(r.x), int(r.y), int(r.width), int(r.height)],
            "formats": list(formats),
        }
        self.plan.grid(self.slide, r)  # what is wrong with the region is said before the folder is touched
        return {"verb": "segment", "inputs": inputs, "settings": settings, **self.plan.machine()}

    def write(self, run: Run, formats: tuple[str, ...], *, keep: bool) -> tuple[dict[str, Any], Instances]:
        """Find the objects and write the files."""
        from histoseed.inference import Target

        folder, product = run.path(".work"), self.plan.product
        grid = self.plan.grid(self.slide, self.region)
        work = self.plan.work(self.slide, grid, self.slide_id, folder)
        with run.timing(product.counted):
            work.find(self.watcher(len(grid)))
        self.told.done()
        target = Target(run.folder, folder, formats, self.region, known_resolution(self.slide), self.facts())
        with run.timing("files"):
            self.told.start(grid.rows, "rows", f"Writing {self.slide.path.name}")
            summary, instances = product.write(work, target, keep=keep, watch=lambda _: self.told.advance(1))
            self.told.done()
        shutil.rmtree(folder)
        run.finish({product.counted: summary[product.counted], "region_mm2": summary["region_mm2"]})
        return summary, instances

    def watcher(self, tiles: int) -> Callable[[int, int | None], None]:
        """Turns tiles into progress."""
        self.told.start(tiles, "tiles", f"Segmenting {self.slide.path.name}")
        counted = self.plan.product.counted
        return lambda count, found: self.told.advance(count, **({} if found is None else {counted: found}))

    def facts(self) -> dict[str, Any]:
        """What ``summary.json`` says beside the figures."""
        r, card = self.region, self.plan.model.card
        return {
            "slide": self.slide.path.name,
            "size": list(self.slide.size),
            "region": [int(r.x), int(r.y), int(r.width), int(r.height)],
            "mpp": self.slide.mpp,
            "mpp_source": self.slide.mpp_source,
            "model": card.name,
            "task": card.task,
            "model_mpp": card.mpp,
            "notes": list(self.slide.notes),
        }


@dataclass(frozen=True, slots=True)
class _Several:
    """What the slides of one call share."""

    plan: Plan
    mpp: float | None
    formats: tuple[str, ...]
    told: Progress

    def segment(self, path: Path, folder: Path) -> dict[str, Any]:
        """Segment one of them and return its summary."""
        with open_slide(path, mpp=self.mpp) as slide:
            stained = self.plan.stained(slide)
            job = _Job(stained, self.plan, whole_pixels(None, slide.size), fingerprint(path), self.told)
            # The folder belongs to the run around it: a finished one that it does not know of is made again.
            again = run_status(folder) == "finished"
            with open_run(folder, overwrite=again, **job.described(self.formats)) as run:
                return job.write(run, self.formats, keep=False)[0]


def _opened(source: str | Path | npt.NDArray[np.uint8], mpp: float | None) -> Slide:
    if isinstance(source, np.ndarray):
        from histoseed.inference import ArraySlide

        return ArraySlide(source, mpp=mpp)
    return open_slide(source, mpp=mpp)


def _identity(source: str | Path | npt.NDArray[np.uint8], slide: Slide) -> str:
    if isinstance(source, np.ndarray):
        return fingerprint_bytes(repr(source.shape).encode(), source.tobytes())
    return fingerprint(slide.path)


def _model_input(plan: Plan) -> dict[str, Path]:
    return {} if plan.folder is None else {"model": plan.folder}


def _folder_names(paths: Sequence[Path]) -> dict[str, Path]:
    """Folder name -> slide: the stem, or the whole name where two stems are equal."""
    if not paths:
        raise InputError("No slide is named.", fix="Name at least one image or slide.")
    stems = [path.stem for path in paths]
    names = [path.name if stems.count(path.stem) > 1 else path.stem for path in paths]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        fix = "Give the files different names, or segment them into different folders."
        raise InputError("Two slides would go to the same folder.", where=twice[0], fix=fix)
    return dict(zip(names, paths, strict=True))
