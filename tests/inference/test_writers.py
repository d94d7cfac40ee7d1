"""The files of a slide say what the objects say."""

from __future__ import annotations

import io
import json
import uuid
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest
import shapely
import tifffile
import torch
from PIL import Image
from shapely import box

from histoseed.annotations import Instances, instances_from_labels
from histoseed.encoders import build_encoder
from histoseed.errors import AnnotationError
from histoseed.geometry import Region, polygons_to_label
from histoseed.inference import ArraySlide, folded, read_nuclei
from histoseed.inference import tables as tables_module
from histoseed.inference.identity import model_hash, object_ids
from histoseed.inference.label_tiff import write_label_tiff
from histoseed.inference.overlay import Overlay
from histoseed.inference.summary import Summary
from histoseed.inference.tables import NucleiTable
from histoseed.pictures import UNCLASSIFIED, draw_instances
from histoseed.pictures.colors import rgb
from histoseed.segmenters import EncoderEntry, ModelCard, Segmenter


@pytest.fixture
def cells(painted: ModuleType) -> Instances:
    """Nuclei of an image of 700 x 1300, some across the borders of TIFF tiles."""
    return instances_from_labels(painted.blobs(7, 700, 1300, 900))


def write_table(folder: Path, cells: Instances, step: int, classes: list[str] | None = None) -> NucleiTable:
    table = NucleiTable(folder, 0.5, classes or [])
    for first in range(0, len(cells), step):
        table.write(cells.select(np.arange(first, min(first + step, len(cells)))))
    table.finish()
    return table


def test_a_table_in_parts_reads_back_as_written(
    cells: Instances, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables_module, "ROWS", 100)
    table = write_table(tmp_path / "t", cells, 40)
    assert len(table.parts) > 2
    back = Instances.concatenate(list(read_nuclei(tmp_path / "t")))
    assert back.id.tolist() == cells.id.tolist()
    assert shapely.equals(back.geometry, cells.geometry).all()
    frame = pl.read_parquet(tmp_path / "t" / "*.parquet")
    assert frame["label"].to_list() == list(range(1, len(cells) + 1))
    assert frame["area_um2"].to_numpy() == pytest.approx(shapely.area(cells.geometry) * 0.25)


def test_class_probabilities_have_columns(tmp_path: Path) -> None:
    chances = [{"Probability: a": 0.75, "Probability: b": 0.25}]
    cells = Instances.build([box(0, 0, 2, 2)], class_name="a", measurements=chances)
    write_table(tmp_path, cells, 10, ["a", "b"])
    frame = pl.read_parquet(tmp_path / "part-00000.parquet")
    assert frame.select("Probability: a", "Probability: b").row(0) == (0.75, 0.25)


def test_a_slide_without_objects_has_a_table_without_rows(tmp_path: Path) -> None:
    write_table(tmp_path, Instances.empty(), 10, ["a"])
    frame = pl.read_parquet(tmp_path / "part-00000.parquet")
    assert frame.height == 0
    assert {"label", "geometry", "area_um2", "Probability: a"} <= set(frame.columns)
    assert sum(len(part) for part in read_nuclei(tmp_path)) == 0


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AnnotationError, match="no table of nuclei"):
        list(read_nuclei(tmp_path))
    (tmp_path / "part-00000.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(AnnotationError, match="damaged"):
        list(read_nuclei(tmp_path))


@pytest.mark.parametrize("region", [Region(0, 0, 1300, 700), Region(100, 37, 1111, 600)])
def test_the_label_tiff_is_the_label_image_of_the_table(
    cells: Instances, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, region: Region
) -> None:
    monkeypatch.setattr(tables_module, "ROWS", 50)
    table = write_table(tmp_path / "t", cells, 25)
    write_label_tiff(tmp_path / "labels.tif", table.parts, region, 0.25)
    expected = polygons_to_label(cells.geometry, (700, 1300))
    x, y, w, h = (int(v) for v in (region.x, region.y, region.width, region.height))
    with tifffile.TiffFile(tmp_path / "labels.tif") as file:
        page = file.pages[0]
        assert file.is_bigtiff
        assert page.is_tiled
        assert page.dtype == np.uint32
        assert json.loads(page.description) == {"x": x, "y": y}
        assert page.get_resolution("MICROMETER") == pytest.approx((4.0, 4.0))
        assert (page.asarray() == expected[y : y + h, x : x + w]).all()


def test_the_overlay_keeps_pixels_away_from_outlines(painted: ModuleType) -> None:
    image = np.full((300, 400, 3), 200, np.uint8)
    overlay = Overlay(ArraySlide(image, mpp=0.25), Region(0, 0, 400, 300), 0.25, {})
    overlay.draw(Instances.build([box(100, 100, 150, 150)]))
    picture = np.asarray(Image.open(io.BytesIO(overlay.png())))
    assert picture.shape == (300, 400, 3)
    assert (picture[:90] == 200).all()
    assert (picture[110:140, 110:140] == 200).all()
    assert (picture[99:102, 110:140] != 200).any()
    line = np.all(picture == rgb(UNCLASSIFIED), axis=2)
    rows, columns = np.nonzero(line[:125])
    casing = picture[rows.min() - 1, columns.min() + 5 : columns.max() - 5]
    assert (casing == casing[0]).all()
    assert (casing[0] < 120).all()  # the line is bright, what it lies in is dark
    assert (picture[rows.min() - 2] == 200).all()


def test_an_overlay_drawn_by_rows_of_tiles_is_the_one_drawn_at_once(painted: ModuleType, cells: Instances) -> None:
    labels = painted.blobs(7, 700, 1300, 900)
    image = np.where(labels[..., None] > 0, [110, 60, 140], [235, 200, 225]).astype(np.uint8)
    names = np.array(["a", "b", None], dtype=object)[np.arange(len(cells)) % 3]
    table = Instances.build(cells.geometry, class_name=names)
    region, colors = Region(100, 50, 1100, 600), {"a": "#d12000", "b": "#2579ff"}
    cores = shapely.get_coordinates(shapely.centroid(table.geometry)) // 256
    once, tiled = (Overlay(ArraySlide(image, mpp=0.25), region, 0.25, colors) for _ in range(2))
    once.draw(table)
    for core in np.unique(cores, axis=0):
        tiled.draw(table.select((cores == core).all(axis=1)))
    assert tiled.png() == once.png()
    expected = draw_instances(
        image[50:650, 100:1200], table, offset=(100, 50), colors=colors, smooth=False, casing=True
    )
    assert (np.asarray(Image.open(io.BytesIO(once.png()))) == expected).all()


def test_a_large_overlay_is_reduced() -> None:
    image = np.full((20, 8200, 3), 200, np.uint8)
    overlay = Overlay(ArraySlide(image, mpp=0.25), Region(0, 0, 8200, 20), 0.25, {})
    assert Image.open(io.BytesIO(overlay.png())).size == (4096, 10)


def test_the_summary_counts() -> None:
    summary = Summary(0.5, ["a", "b"])
    summary.add(Instances.build([box(0, 0, 4, 4), box(9, 0, 11, 2)], class_name=["a", "b"]))
    summary.add(Instances.build([box(20, 0, 24, 8)], class_name=["a"]))
    figures = summary.figures(region_mm2=0.5, tissue_mm2=0.25)
    assert (figures["objects"], figures["per_mm2"], figures["per_tissue_mm2"]) == (3, 6.0, 12.0)
    assert figures["median_area_um2"] == 4.0  # 16, 4 and 32 pixels of 0.25 um2
    assert figures["classes"]["a"]["objects"] == 2
    assert figures["classes"]["b"]["mean_area_um2"] == 1.0
    assert Summary(0.5, []).figures(region_mm2=1.0, tissue_mm2=0.0)["per_tissue_mm2"] is None


def test_ids_follow_from_slide_model_and_outline() -> None:
    shapes = np.array([box(0, 0, 2, 2), box(0, 0, 2, 3)], dtype=object)
    ids = object_ids(shapes, "slide", "model")
    assert ids.tolist() == object_ids(shapes, "slide", "model").tolist()
    assert len({*ids, *object_ids(shapes, "other", "model"), *object_ids(shapes, "slide", "other")}) == 6
    assert all(uuid.UUID(value).version == 5 for value in ids)
    assert len(object_ids(shapes[:0], "slide", "model")) == 0


@pytest.fixture
def random_model() -> Segmenter:
    """A small network with statistics as after training."""
    entry = EncoderEntry(name="bundled", weights="random")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Segmenter(
            build_encoder("bundled", weights="random"), ModelCard(histoseed="0", name="random", mpp=0.25, encoder=entry)
        )
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.normal_(module.bias, 0, 0.1)
    return model.eval()


def test_folding_changes_nothing_but_the_speed(random_model: Segmenter) -> None:
    image = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    twin = folded(random_model)
    norms = [sum(isinstance(m, torch.nn.BatchNorm2d) for m in model.modules()) for model in (random_model, twin)]
    assert norms[0] > 20
    assert norms[1] == 0
    before, after = random_model.predict(image), twin.predict(image)
    assert after.semantic == pytest.approx(before.semantic, abs=1e-4)
    assert after.distances == pytest.approx(before.distances, abs=1e-4)


def test_the_hash_of_a_model_in_memory_follows_its_weights(random_model: Segmenter) -> None:
    first = model_hash(random_model)
    assert first == model_hash(random_model)
    with torch.no_grad():
        next(random_model.parameters()).add_(1e-3)
    assert model_hash(random_model) != first
