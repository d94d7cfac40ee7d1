"""Whole fields: what was painted comes back, however it is cut, read, stored and resumed."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import shapely
import torch

from histoseed.annotations import Instances
from histoseed.geometry import Region, polygons_to_label
from histoseed.inference import ArraySlide, DiskStore, Field, FieldSegmenter, Precision, TileGrid


def run(
    model: torch.nn.Module,
    image: np.ndarray,
    tile: int,
    *,
    mpp: float = 0.25,
    region: Region | None = None,
    store: DiskStore | None = None,
    **how: int,
) -> Instances:
    slide = ArraySlide(image, mpp=mpp)
    field = Field.over(region or Region(0, 0, *slide.size), slide.size, mpp, 0.25)
    segmenter = FieldSegmenter.in_memory(model, slide, TileGrid(field, tile), "slide", Precision(**how))
    if store is not None:
        segmenter = FieldSegmenter(model, slide, TileGrid(field, tile), "slide", Precision(**how), store)
    return segmenter.all()


@pytest.fixture(scope="module")
def labels(painted: ModuleType) -> np.ndarray:
    return painted.blobs(1, 460, 620, 900)


@pytest.mark.parametrize("tile", [224, 256, 352, 1024])
def test_painted_nuclei_come_back_at_every_tile_size(painted: ModuleType, labels: np.ndarray, tile: int) -> None:
    found = run(painted.PaintedModel(), painted.paint(labels), tile)
    drawn = polygons_to_label(found.geometry, labels.shape)
    assert painted.f1(labels, drawn, 0.9) >= 0.99
    assert shapely.area(found.geometry).sum() == (drawn > 0).sum()  # no pixel has two owners


def test_the_result_hardly_depends_on_the_tile_size(painted: ModuleType, labels: np.ndarray) -> None:
    image = painted.paint(labels)
    small, large = (run(painted.PaintedModel(), image, tile) for tile in (256, 1024))
    drawn = [polygons_to_label(found.geometry, labels.shape) for found in (small, large)]
    assert painted.f1(*drawn, 0.9) >= 0.99


def test_a_trained_network_hardly_depends_on_the_tile_size(painted: ModuleType, shared_data: Path) -> None:
    from PIL import Image

    from histoseed.bundled import bundled_folder
    from histoseed.segmenters import load_segmenter

    model = load_segmenter(bundled_folder())
    path = sorted((shared_data / "monuseg16" / "images").glob("*.png"))[-6]
    image = np.ascontiguousarray(np.asarray(Image.open(path).convert("RGB"))[:700, :700])
    small, large = (run(model, image, tile, mpp=0.25) for tile in (256, 1024))
    drawn = [polygons_to_label(found.geometry, image.shape[:2]) for found in (small, large)]
    assert len(large) > 100
    assert painted.f1(*drawn, 0.9) >= 0.99


def test_bytes_do_not_depend_on_threads_store_or_interruption(
    painted: ModuleType, labels: np.ndarray, tmp_path: Path
) -> None:
    image, model = painted.paint(labels[:, :400]), painted.PaintedModel()
    plain = run(model, image, 224)
    threads = run(model, image, 224, workers=3)
    stored = run(model, image, 224, store=DiskStore(tmp_path), workers=2)
    files = sorted(tmp_path.iterdir())
    assert len(files) == 2
    before = model.calls.windows
    files[1].unlink()
    resumed = run(model, image, 224, store=DiskStore(tmp_path))
    assert 0 < model.calls.windows - before <= 32  # only the chunk that was missing
    for other in (threads, stored, resumed):
        assert other.id.tolist() == plain.id.tolist()
        assert (shapely.to_wkb(other.geometry) == shapely.to_wkb(plain.geometry)).all()
        assert other.score.tolist() == plain.score.tolist()


def test_white_windows_are_not_shown_to_the_network_and_nothing_changes(painted: ModuleType) -> None:
    labels = np.zeros((420, 900), np.int32)
    labels[:, :200] = painted.blobs(4, 420, 200, 200)
    image = painted.paint(labels)
    grey = np.where(image == 255, np.uint8(219), image)  # just too dark to be empty glass
    white, shown = painted.PaintedModel(), painted.PaintedModel()
    found, other = run(white, image, 256), run(shown, grey, 256)
    assert 0 < white.calls.windows < shown.calls.windows / 2
    assert found.id.tolist() == other.id.tolist()


def test_an_object_without_a_dark_pixel_is_dropped(painted: ModuleType) -> None:
    class Dreamer(painted.PaintedModel):
        def predict(self, images: torch.Tensor, *, dtype: torch.dtype = torch.float32):
            maps = super().predict(images)
            maps.semantic[:, 0, 10:40, 10:40] = 0.0
            maps.semantic[:, 1, 10:40, 10:40] = 1.0
            return maps

    image = np.full((100, 100, 3), 240, np.uint8)
    image[80:95, 80:95] = 219  # the window itself is shown
    assert len(run(Dreamer(), image, 256)) == 0


def test_objects_of_a_region_are_those_of_the_slide_with_their_centroid_in_it(
    painted: ModuleType, labels: np.ndarray
) -> None:
    image = painted.paint(labels)
    region = Region(130, 70, 320, 250)
    whole = run(painted.PaintedModel(), image, 1024)
    part = run(painted.PaintedModel(), image, 256, region=region)
    x, y = whole.centroids().T
    inside = whole.select((x >= 130) & (x < 450) & (y >= 70) & (y < 320))
    assert len(part) == len(inside) > 50
    assert set(shapely.to_wkb(part.geometry)) == set(shapely.to_wkb(inside.geometry))


def test_outlines_are_in_level_0_pixels(painted: ModuleType) -> None:
    """A slide of twice the model's resolution: the same nuclei, twice as large."""
    labels = painted.blobs(5, 300, 330, 120)
    large = np.kron(labels, np.ones((2, 2), np.int32))
    image = np.kron(painted.paint(labels), np.ones((2, 2, 1), np.uint8))
    found = run(painted.PaintedModel(), image, 256, mpp=0.125)
    drawn = polygons_to_label(found.geometry, large.shape)
    assert painted.f1(large, drawn, 0.9) >= 0.98


def test_classes_come_from_summed_probability(painted: ModuleType, labels: np.ndarray) -> None:
    found = run(painted.PaintedModel(classes=True), painted.paint(labels), 352)
    assert set(found.classes()) <= {"dark", "pale"}
    first = found.measurements[0]
    assert set(first) == {"Probability: dark", "Probability: pale"}
    best = ["dark" if m["Probability: dark"] > m["Probability: pale"] else "pale" for m in found.measurements]
    ties = [abs(m["Probability: dark"] - 0.5) < 1e-3 for m in found.measurements]
    assert all(a == b or tie for a, b, tie in zip(best, found.class_name, ties, strict=True))
    assert np.allclose([sum(m.values()) for m in found.measurements], 1, atol=1e-3)


def test_scores_are_mean_foreground_probabilities(painted: ModuleType, labels: np.ndarray) -> None:
    found = run(painted.PaintedModel(), painted.paint(labels), 512)
    drawn = polygons_to_label(found.geometry, labels.shape)
    foreground = np.where(labels > 0, 0.98, 0.02)  # holes that were filled count with what the network said
    expected = [foreground[drawn == k + 1].mean() for k in range(len(found))]
    assert found.score == pytest.approx(np.array(expected), abs=1e-5)


def test_an_empty_picture_has_no_objects(painted: ModuleType) -> None:
    assert len(run(painted.PaintedModel(), np.full((500, 400, 3), 255, np.uint8), 256)) == 0


def test_an_error_while_reading_comes_out_unchanged(painted: ModuleType) -> None:
    class Broken(ArraySlide):
        def read(self, region: Region) -> np.ndarray:
            if region.x > 100:
                raise ValueError("damaged here")
            return super().read(region)

    slide = Broken(painted.paint(painted.blobs(1, 300, 700, 100)), mpp=0.25)
    grid = TileGrid(Field.over(Region(0, 0, *slide.size), slide.size, 0.25, 0.25), 256)
    with pytest.raises(ValueError, match="damaged here"):
        FieldSegmenter.in_memory(painted.PaintedModel(), slide, grid, "x").all()
