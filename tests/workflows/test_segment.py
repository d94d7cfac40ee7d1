"""The verb ``segment``: files, output folders, resuming, several slides, data sets."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import shapely
import tifffile
from PIL import Image

from histoseed.annotations import read_geojson
from histoseed.datasets import DatasetInfo, DatasetWriter, read_dataset
from histoseed.errors import InputError, OutputError, SlideError, UnknownMppError
from histoseed.geometry import polygons_to_label
from histoseed.inference import read_nuclei
from histoseed.workflows.segment import segment, segment_slides
from histoseed.workflows.segment_dataset import segment_dataset


@pytest.fixture(scope="session")
def painted() -> ModuleType:
    """The stand-in of a network that the room ``inference`` is tested with."""
    path = Path(__file__).parents[1] / "inference" / "painted.py"
    spec = importlib.util.spec_from_file_location("painted", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def labels(painted: ModuleType) -> np.ndarray:
    return painted.blobs(1, 330, 420, 300)


@pytest.fixture
def picture(painted: ModuleType, labels: np.ndarray, tmp_path: Path) -> Path:
    path = tmp_path / "field.png"
    Image.fromarray(painted.paint(labels)).save(path)
    return path


class Counter:
    """A progress that remembers, and presses Ctrl-C after some tiles."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.units: list[tuple[str, int]] = []
        self.made = 0
        self.objects = 0.0
        self._left = stop_after

    def start(self, total: int, unit: str, description: str) -> None:
        self.units.append((unit, total))
        self.made = 0

    def advance(self, n: int, **facts: float) -> None:
        self.made += n
        self.objects = facts.get("objects", self.objects)
        if self._left is not None:
            self._left -= n
            if self._left < 0:
                raise KeyboardInterrupt

    def done(self) -> None:
        assert self.made == self.units[-1][1]


def hashes(folder: Path) -> dict[str, str]:
    """Every file but ``run.json``, which holds times."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "run.json"]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def options(painted: ModuleType, **more: Any) -> dict[str, Any]:
    return {"model": painted.PaintedModel(classes=True), "mpp": 0.25, "tile_size": 224, **more}


def test_the_files_agree_with_each_other(
    painted: ModuleType, picture: Path, labels: np.ndarray, tmp_path: Path
) -> None:
    progress, out = Counter(), tmp_path / "out"
    found = segment(picture, out=out, progress=progress, **options(painted))
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["nuclei.geojson", "nuclei.parquet", "labels.tif", "overlay.png", "summary.json", "run.json"]
    )
    truth = len(np.unique(labels)) - 1
    assert abs(len(found) - truth) <= 0.02 * truth
    read, warnings = read_geojson(out / "nuclei.geojson")
    assert warnings == []
    assert read.id.tolist() == found.id.tolist()
    assert [*read.class_name] == [*found.class_name]
    (table,) = read_nuclei(out / "nuclei.parquet")
    assert shapely.equals(table.geometry, found.geometry).all()
    assert (tifffile.imread(out / "labels.tif") == polygons_to_label(found.geometry, labels.shape)).all()
    with Image.open(out / "overlay.png") as overlay:
        assert overlay.size == (420, 330)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["objects"] == len(found)
    assert summary["region_mm2"] == pytest.approx(330 * 420 * 0.25**2 / 1e6, abs=1e-6)
    assert summary["mpp_source"] == "user"
    run = json.loads((out / "run.json").read_text())
    assert run["status"] == "finished"
    assert run["settings"]["tile_size"] == 224
    assert progress.objects > 0
    assert [unit for unit, _ in progress.units] == ["tiles", "rows"]


def test_only_the_files_that_are_asked_for(painted: ModuleType, picture: Path, tmp_path: Path) -> None:
    segment(picture, out=tmp_path / "out", formats=["labels"], **options(painted))
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["labels.tif", "run.json", "summary.json"]


def test_nothing_is_written_without_a_folder(painted: ModuleType, picture: Path, tmp_path: Path) -> None:
    found = segment(picture, **options(painted))
    assert len(found) > 50
    assert [path.name for path in tmp_path.iterdir()] == ["field.png"]


def test_an_array_is_an_image(painted: ModuleType, picture: Path, labels: np.ndarray) -> None:
    image = painted.paint(labels)
    found = segment(image, **options(painted))
    assert shapely.equals(found.geometry, segment(picture, **options(painted)).geometry).all()


def test_equal_bytes_for_any_number_of_workers(painted: ModuleType, picture: Path, tmp_path: Path) -> None:
    for workers in (1, 3):
        segment(picture, out=tmp_path / str(workers), **options(painted, workers=workers))
    assert hashes(tmp_path / "1") == hashes(tmp_path / "3")


def test_ctrl_c_keeps_the_run_and_resuming_gives_equal_bytes(
    painted: ModuleType, tmp_path: Path, labels: np.ndarray
) -> None:
    picture = tmp_path / "long.png"
    Image.fromarray(np.hstack([painted.paint(labels)] * 2)).save(picture)  # more than one chunk of tiles
    segment(picture, out=tmp_path / "whole", **options(painted))
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        segment(picture, out=out, progress=Counter(stop_after=50), **options(painted))
    assert json.loads((out / "run.json").read_text())["status"] == "running"
    assert not (out / "nuclei.geojson").exists()
    model = painted.PaintedModel(classes=True)
    segment(picture, out=out, **options(painted, model=model))
    assert json.loads((out / "run.json").read_text())["status"] == "finished"
    again = painted.PaintedModel(classes=True)
    segment(picture, **options(painted, model=again))
    assert model.calls.windows == again.calls.windows - 32  # the first chunk was not computed again
    assert hashes(out) == hashes(tmp_path / "whole")


def test_other_settings_do_not_touch_an_interrupted_run(painted: ModuleType, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        segment(picture, out=out, progress=Counter(stop_after=3), **options(painted))
    with pytest.raises(OutputError, match="'tile_size' was 224"):
        segment(picture, out=out, **options(painted, tile_size=256))
    segment(picture, out=out, overwrite=True, **options(painted, tile_size=256))
    with pytest.raises(OutputError, match="finished run"):
        segment(picture, out=out, **options(painted, tile_size=256))


def test_an_unknown_resolution_is_said_and_nothing_is_written(
    painted: ModuleType, picture: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnknownMppError, match="--mpp"):
        segment(picture, out=tmp_path / "out", model=painted.PaintedModel())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"formats": ["csv"]}, "no format 'csv'"),
        ({"formats": []}, "No format"),
        ({"region": (5000, 0, 10, 10)}, "does not touch"),
        ({"region": (0, 0, -10, 10)}, "positive width"),
        ({"tile_size": 100}, "no core"),
        ({"dtype": "float12"}, "no precision"),
        ({"mpp": 1e9}, "microns per pixel"),
        ({"mpp": 5.0}, "too coarse"),
        ({"workers": -1}, "--workers"),
    ],
)
def test_bad_options_write_nothing(
    painted: ModuleType, picture: Path, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        segment(picture, out=tmp_path / "out", **options(painted, **changes))
    assert not (tmp_path / "out").exists()


def test_a_truncated_image_writes_nothing(painted: ModuleType, picture: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(picture.read_bytes()[:2000])
    with pytest.raises(SlideError):
        segment(broken, out=tmp_path / "out", **options(painted))
    assert not (tmp_path / "out").exists()


def test_a_region_gives_files_of_its_size(painted: ModuleType, picture: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = segment(picture, out=out, region=(60.5, 40, 200, 150), **options(painted))
    assert tifffile.imread(out / "labels.tif").shape == (150, 201)  # rounded outwards to whole pixels
    x, y = found.centroids().T
    assert ((x >= 60) & (x < 261) & (y >= 40) & (y < 190)).all()
    assert json.loads((out / "summary.json").read_text())["region"] == [60, 40, 201, 150]


def test_several_slides_go_to_folders_of_their_names(
    painted: ModuleType, picture: Path, labels: np.ndarray, tmp_path: Path
) -> None:
    other = tmp_path / "other.tif"
    Image.fromarray(painted.paint(labels[:200, :200])).save(other)
    out = tmp_path / "out"
    summaries = segment_slides([picture, other], out=out, formats=["parquet"], **options(painted))
    assert list(summaries) == ["field", "other"]
    for name in summaries:
        assert sorted(p.name for p in (out / name).iterdir()) == ["nuclei.parquet", "run.json", "summary.json"]
    with pytest.raises(OutputError, match="finished run"):
        segment_slides([picture, other], out=out, formats=["parquet"], **options(painted))


def test_finished_slides_are_left_alone_when_several_are_resumed(
    painted: ModuleType, picture: Path, labels: np.ndarray, tmp_path: Path
) -> None:
    other = tmp_path / "other.png"
    Image.fromarray(painted.paint(labels[:260, :400])).save(other)
    out = tmp_path / "out"
    model = painted.PaintedModel(classes=True)
    arguments = options(painted, model=model, formats=["parquet"])
    segment_slides([picture, other], out=tmp_path / "whole", **arguments)
    first = Counter()
    segment(picture, progress=first, **options(painted))
    with pytest.raises(KeyboardInterrupt):
        segment_slides([picture, other], out=out, progress=Counter(stop_after=first.made + 6), **arguments)
    assert json.loads((out / "field" / "run.json").read_text())["status"] == "finished"
    before = model.calls.windows
    segment_slides([picture, other], out=out, **arguments)
    assert 0 < model.calls.windows - before <= 32
    assert hashes(out) == hashes(tmp_path / "whole")


def test_a_damaged_slide_does_not_stop_the_others(
    painted: ModuleType, picture: Path, labels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import histoseed.workflows.segment as module

    real, seen = module.open_slide, []

    def opening(path: Path, **how: Any) -> Any:
        slide = real(path, **how)
        seen.append(path)
        if path.stem == "bad" and seen.count(path) > 1:  # it opens, and fails later
            monkeypatch.setattr(slide, "read", lambda region: (_ for _ in ()).throw(SlideError("damaged", where=path)))
        return slide

    monkeypatch.setattr(module, "open_slide", opening)
    bad = tmp_path / "bad.png"
    Image.fromarray(painted.paint(labels[:200])).save(bad)
    out = tmp_path / "out"
    with pytest.raises(InputError, match="1 of 2 slides"):
        segment_slides([bad, picture], out=out, formats=["parquet"], **options(painted))
    assert (out / "field" / "summary.json").exists()
    assert not (out / "bad").exists()
    assert "damaged" in json.loads((out / "run.json").read_text())["failed"]["bad"]


def test_slides_of_one_name_keep_their_endings(painted: ModuleType, picture: Path, tmp_path: Path) -> None:
    twin = picture.with_suffix(".tif")
    with Image.open(picture) as image:
        image.save(twin)
    summaries = segment_slides([picture, twin], out=tmp_path / "out", formats=["parquet"], **options(painted))
    assert list(summaries) == ["field.png", "field.tif"]
    with pytest.raises(InputError, match="same folder"):
        segment_slides([picture, picture], out=tmp_path / "out2", **options(painted))


def test_a_data_set_becomes_a_data_set_of_predictions(painted: ModuleType, labels: np.ndarray, tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "data", DatasetInfo(name="mine", licence="CC0-1.0")) as writer:
        writer.add("a", painted.paint(labels[:200, :200]), patient="P1", split="test", mpp=0.25)
        writer.add("b", painted.paint(labels[130:, :200]), patient="P2")
    with pytest.raises(UnknownMppError, match="patch b"):
        segment_dataset(tmp_path / "data", out=tmp_path / "out", model=painted.PaintedModel(classes=True))
    assert not (tmp_path / "out").exists()
    progress = Counter()
    done = segment_dataset(
        tmp_path / "data", out=tmp_path / "out", probabilities=True, progress=progress, **options(painted)
    )
    again = read_dataset(tmp_path / "out", verify=True)
    assert len(done) == len(again) == 2
    assert [c.name for c in again.classes] == ["dark", "pale"]
    patch = again.patch("a")
    assert patch.patient == "P1"
    assert patch.split == "test"
    assert (patch.image == painted.paint(labels[:200, :200])).all()
    truth = labels[:200, :200]
    kept = np.isin(truth, np.flatnonzero(np.bincount(truth.ravel()) >= 80))  # crumbs at the border are dropped
    assert painted.f1(truth * kept, patch.labels, 0.9) > 0.95
    with np.load(tmp_path / "out" / "probs" / "a.npz") as file:
        assert next(iter(file.values())).shape == (len(patch.label_ids), 2)
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert run["status"] == "finished"
    assert run["results"]["objects"] == progress.objects > 50
    with pytest.raises(OutputError):
        segment_dataset(tmp_path / "data", out=tmp_path / "out", **options(painted))
