"""``demo``: the main job on real tissue, with nothing but what the package brings.

The picture is scikit-image's ``immunohistochemistry`` (DAB and haematoxylin); two annotated crops to adapt on and one
apart to measure on come with this package, their outlines fixed by hash before any adaptation was run.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from histoseed._version import __version__
from histoseed.datasets import Dataset, import_geojson
from histoseed.errors import ModelError
from histoseed.files import sha256_of, write_bytes, write_text
from histoseed.pictures import Report, draw_outlines, png_bytes
from histoseed.wording import counted
from histoseed.workflows.adapt import adapt
from histoseed.workflows.evaluate import evaluate
from histoseed.workflows.models import choose_device, choose_dtype, load_model
from histoseed.workflows.patches import predict_patch
from histoseed.workflows.progress import Progress
from histoseed.workflows.runs import Run, open_run
from histoseed.workflows.segment import segment

if TYPE_CHECKING:
    from histoseed.segmenters import Segmenter

__all__ = ["ASSUMED_MPP", "SCORES", "demo", "verdict"]

ASSUMED_MPP = 0.5
"""The picture states no resolution; ``bundled/demo/README.md`` argues for this one."""
STEPS, RATE = 150, 1e-3
"""Chosen on the two crops to adapt on, each adapted to and the other one scored; the measuring crop had no say."""
SCORES = {"pq": "Panoptic quality", "aji": "AJI", "f1_detection": "Detection F1 (3 um)"}
"""The scores shown, by key."""
OUTLINE = "#00e63c"
"""Colour of outlines on brown and blue tissue."""
_HELPS = 0.005
"""A smaller change of a score than this is called no change."""


def demo(
    out: Path | str, *, overwrite: bool = False, device: str = "auto", progress: Progress | None = None
) -> dict[str, Any]:
    """Adapt the bundled model to an unseen stain, segment the whole picture, measure before and after.

    Args:
        out: Folder for ``nuclei.geojson``, ``nuclei.parquet/``, ``labels.tif``, ``overlay.png``, ``summary.json``,
            ``report.html``, ``run.json``, the adapted ``model/`` and the data sets it was made from.
        overwrite: Replace an earlier demo at ``out``.
        device: ``auto``, ``cpu``, ``cuda``...
        progress: Told about every step.

    Returns:
        ``before`` and ``after`` (scores by key), ``verdict``, ``objects``, and where the report lies.

    Raises:
        OutputError: ``out`` is in use.
        ModelError: the package is incomplete.
    """
    outlines = _checked_outlines()
    with open_run(
        Path(out), verb="demo", inputs=outlines, settings={"mpp": ASSUMED_MPP}, seed=0, overwrite=overwrite
    ) as run:
        picture = _picture(run)
        data = {name: _import(run, picture, path, name) for name, path in outlines.items()}
        before = evaluate(data["measure"], model="bundled", device=device, progress=progress)
        model = adapt(
            data["adapt"], out=run.path("model"), name="bundled, adapted to the demo's stain", device=device,
            method="full", steps=STEPS, learning_rate=RATE, overwrite=True, progress=progress,
        )  # fmt: skip
        after = evaluate(data["measure"], model=model, device=device, progress=progress)
        nuclei = segment(
            picture, mpp=ASSUMED_MPP, model=run.path("model"), out=run.path("segmentation"), device=device,
            overwrite=True, progress=progress,
        )  # fmt: skip
        _move_up(run)
        facts = {
            "before": {key: before[key] for key in SCORES},
            "after": {key: after[key] for key in SCORES},
            "protocol": after["protocol"],
            "measured_on": int(after["n_instances"]),
            "objects": len(nuclei),
        }
        facts["verdict"] = verdict(facts["before"], facts["after"])
        write_text(run.path("report.html"), _report(run, facts, data, model, device))
        run.finish(facts)
    return facts | {"report": str(run.path("report.html"))}


def verdict(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> str:
    """In one sentence, whether adaptation helped.

    >>> verdict({"pq": 0.4, "aji": 0.4, "f1_detection": 0.7}, {"pq": 0.5, "aji": 0.45, "f1_detection": 0.7})
    'Adaptation helped: Panoptic quality +0.100, AJI +0.050; no change: Detection F1 (3 um).'
    >>> verdict({"pq": 0.4}, {"pq": 0.3})
    'Adaptation did not help: Panoptic quality -0.100.'
    """
    change = {key: (after[key] or 0.0) - (before[key] or 0.0) for key in SCORES if key in before}
    moved = {key: value for key, value in change.items() if abs(value) >= _HELPS}
    same = [SCORES[key] for key in change if key not in moved]
    listed = ", ".join(f"{SCORES[key]} {value:+.3f}" for key, value in moved.items())
    rest = f"no change: {', '.join(same)}" if same else ""
    if not moved:
        return f"Adaptation did not help ({rest})."
    worse = [key for key, value in moved.items() if value < 0]
    kind = "helped" if not worse else "did not help" if len(worse) == len(moved) else "helped in part"
    return f"Adaptation {kind}: {'; '.join(part for part in (listed, rest) if part)}."


def _checked_outlines() -> dict[str, Path]:
    """The two annotation files, exactly those that were fixed before anything was adapted."""
    folder = Path(str(files("histoseed.bundled"))) / "demo"
    lines = (line.split() for line in (folder / "SHA256SUMS").read_text("utf-8").splitlines())
    sums = {name: digest for digest, name in lines}
    found = {name: folder / f"{name}.geojson" for name in ("adapt", "measure")}
    for path in found.values():
        if sha256_of(path) != sums[path.name]:
            what = "The outlines of the demo are not those that SHA256SUMS names."
            raise ModelError(what, where=path, fix="Install histoseed again.")
    return found


def _picture(run: Run) -> Path:
    from skimage.data import immunohistochemistry

    path = run.path("picture.png")
    write_bytes(path, png_bytes(np.asarray(immunohistochemistry())))  # type: ignore[no-untyped-call]
    return path


def _import(run: Run, picture: Path, outlines: Path, name: str) -> Dataset:
    return import_geojson(
        picture, outlines, run.path("data") / name, mpp=ASSUMED_MPP, name=f"demo {name}",
        stain="IHC (DAB, haematoxylin)", overwrite=True,
        licence="Apache-2.0 (outlines); no known copyright restrictions (picture)",
    )  # fmt: skip


def _move_up(run: Run) -> None:
    """The files of the segmentation become those of the demo."""
    folder = run.path("segmentation")
    for entry in sorted(folder.iterdir()):
        if entry.name != "run.json":
            entry.replace(run.path(entry.name))
    (folder / "run.json").replace(run.path("segmentation-run.json"))
    folder.rmdir()


def _report(run: Run, facts: Mapping[str, Any], data: Mapping[str, Dataset], model: Segmenter, device: str) -> str:
    report = Report(
        "From two annotated crops to a segmented picture",
        "The bundled model, trained on H&E, adapted to an immunohistochemical stain it has never seen.",
        version=__version__,
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
    )
    report.section("Before and after")
    rows = [
        (SCORES[key], facts["before"][key], facts["after"][key], facts["after"][key] - facts["before"][key])
        for key in SCORES
    ]
    report.table(["score on the measuring crop", "before", "after", "change"], rows)
    report.text(facts["verdict"])
    report.note(
        f"Protocol “{facts['protocol']}”, {counted(facts['measured_on'], 'nucleus')} of one crop, kept apart: one "
        "nucleus more or less moves detection F1 by about three points, and one crop of the same picture says nothing "
        "about other slides. The outlines were not drawn by a pathologist. The picture states no resolution; "
        f"{ASSUMED_MPP} micrometres per pixel are assumed."
    )
    _measuring_crop(report, data["measure"], model, device)
    report.section("The whole picture")
    report.figure(
        run.path("overlay.png").read_bytes(),
        f"{counted(facts['objects'], 'nucleus')} found by the adapted model.",
        "The immunohistochemistry picture with an outline around every nucleus that was found.",
    )
    report.section("What it learned from")
    report.gallery(
        [
            (
                draw_outlines(patch.image, patch.labels, OUTLINE, thickness=2, zoom=4),
                f"{patch.patch_id}: {counted(len(patch.label_ids), 'nucleus')}",
                f"Annotated crop {patch.patch_id} with outlines.",
            )
            for patch in data["adapt"]
        ]
    )
    report.figure(
        run.path("model").joinpath("loss.png").read_bytes(),
        "Loss and fit on the annotated crops. The scores above were measured elsewhere.",
        "Curves of the training loss and of the panoptic quality of the fit.",
    )
    report.section("How to go on")
    report.text(
        "Open nuclei.geojson in QuPath on the same picture: every nucleus is a detection of its own.",
        "The adapted model is the folder model/: use it with --model on other slides of this stain.",
    )
    report.code(f"histoseed segment OTHER.tif --mpp {ASSUMED_MPP} --model {run.path('model')} --out other")
    return report.render()


def _measuring_crop(report: Report, data: Dataset, model: Segmenter, device: str) -> None:
    """The measuring crop: truth, before, after."""
    place = choose_device(device)
    dtype = choose_dtype("auto", place)
    patch = data.patch(0)
    shown: list[tuple[npt.NDArray[np.uint8], str, str]] = []
    before = load_model("bundled", device=device)
    for labels, name in (
        (patch.labels, "annotated by hand"),
        (predict_patch(before, patch.image, ASSUMED_MPP, dtype).labels, "before adaptation"),
        (predict_patch(model, patch.image, ASSUMED_MPP, dtype).labels, "after adaptation"),
    ):
        picture = draw_outlines(patch.image, labels, OUTLINE, thickness=2, zoom=4)
        shown.append(
            (picture, f"{name}: {counted(len(np.unique(labels)) - 1, 'nucleus')}", f"The measuring crop, {name}.")
        )
    report.gallery(shown)
