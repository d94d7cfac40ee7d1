"""Areas through tiles: every pixel decided once, outlines that no seam shows in, files that say the same."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import shapely
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.measure import label

from fixtures.tissue import NAMES, PaintedTissue, painted, regions, semantic_card
from histoseed.annotations import read_geojson
from histoseed.encoders import build_encoder
from histoseed.errors import InputError
from histoseed.geometry import Region, polygons_to_label
from histoseed.inference import (
    MARGIN,
    ArraySlide,
    Field,
    FieldMapper,
    FieldSegmenter,
    Precision,
    TileGrid,
    class_strips,
    count_areas,
    write_area_results,
)
from histoseed.inference.area_outlines import connected_areas
from histoseed.inference.area_tiles import AreaStore
from histoseed.inference.results import Target
from histoseed.segmenters import Segmenter, load_segmenter

TRUTH = regions(5, 300, 420)


def mapper(
    image: np.ndarray,
    tile: int = 224,
    *,
    model: torch.nn.Module | None = None,
    mpp: float = 0.25,
    region: Region | None = None,
    store: AreaStore | None = None,
    **how: int,
) -> FieldMapper:
    slide = ArraySlide(image, mpp=mpp)
    field = Field.over(region or Region(0, 0, *slide.size), slide.size, mpp, 0.25)
    grid = TileGrid(field, tile)
    made = model or PaintedTissue()
    return FieldMapper(made, slide, grid, "slide", Precision(**how), store or AreaStore(None))


def classes_of(image: np.ndarray, tile: int = 224, **how: object) -> np.ndarray:
    work = mapper(image, tile, **how)
    work.find()
    return work.class_image()


@pytest.mark.parametrize("tile", [224, 256, 1024])
def test_painted_areas_come_back_pixel_by_pixel(tile: int) -> None:
    assert np.array_equal(classes_of(painted(TRUTH), tile, workers=2), TRUTH)


def test_without_background_every_pixel_has_a_class() -> None:
    found = classes_of(painted(TRUTH), model=PaintedTissue(background=False))
    assert found.min() == 1
    assert np.array_equal(found[TRUTH > 0], TRUTH[TRUTH > 0])


def test_a_part_of_the_slide_is_that_part_of_the_whole() -> None:
    part = Region(70, 30, 200, 150)
    assert np.array_equal(classes_of(painted(TRUTH), region=part), TRUTH[30:180, 70:270])


def test_glass_has_no_class_wherever_tiles_end() -> None:
    """A white picture with a stripe of tissue: what the network would say of white is "other", 96 pixels far."""
    image = np.full((700, 260, 3), 250, np.uint8)
    image[300:320] = painted(np.ones((20, 260), np.uint8))
    found = [classes_of(image, tile, model=PaintedTissue()) for tile in (224, 352, 1024)]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])
    assert (found[0][300:320] == 1).all()
    assert (found[0][300 - MARGIN : 300] == 3).all()
    assert (found[0][: 300 - MARGIN] == 0).all()
    assert (found[0][320 + MARGIN :] == 0).all()


def test_only_a_model_without_background_is_shown_glass() -> None:
    image = np.full((600, 600, 3), 250, np.uint8)
    for background in (True, False):
        model = PaintedTissue(background=background)
        work = mapper(image, 256, model=model)
        work.find()
        assert (model.seen == 0) == background
        assert (work.class_image() == (0 if background else 3)).all()
        assert len(work.all()) == (0 if background else 1)
        assert work.tissue_pixels().tolist() == [0, 0, 0, 0]


def test_a_trained_network_hardly_depends_on_the_tile_size() -> None:
    torch.manual_seed(0)
    model = Segmenter(build_encoder("bundled", weights="bundled", image_size=64), semantic_card()).eval()
    image = painted(TRUTH, seed=2)
    small, large = (classes_of(image, tile, model=model) for tile in (256, 1024))
    assert (small == large).mean() > 0.99


def test_neither_workers_nor_batches_change_anything() -> None:
    image = painted(TRUTH, seed=1)
    found = [mapper(image, 256, **how).all() for how in ({}, {"workers": 3}, {"batch": 2})]
    assert found[0].id.tolist() == found[1].id.tolist() == found[2].id.tolist()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(1, 59), max_size=6, unique=True))
def test_outlines_do_not_show_where_bands_end(seed: int, cuts: list[int]) -> None:
    image = regions(seed, 60, 50, smooth=1.5)
    edges = [0, *sorted(cuts), 60]
    parts = list(connected_areas(image[a:b] for a, b in itertools.pairwise(edges)))
    (whole,) = connected_areas([image])
    geometry = np.concatenate([part.geometry for part in parts])
    kinds = np.concatenate([part.classes for part in parts])
    pixels = np.concatenate([part.pixels for part in parts])
    order, other = (np.array([_first_pixel(g) for g in shapes]) for shapes in (geometry, whole.geometry))
    a, b = (np.lexsort(corners.T) for corners in (order, other))
    assert np.array_equal(order[a], other[b])
    assert np.array_equal(kinds[a], whole.classes[b])
    assert np.array_equal(pixels[a], whole.pixels[b])
    assert shapely.equals(geometry[a], whole.geometry[b]).all()
    assert len(parts) == len(edges) - 1
    assert (shapely.area(geometry) == pixels).all()
    assert shapely.is_valid(geometry).all()
    assert len(geometry) == count_areas(image) == label(image, background=0, connectivity=1).max()
    drawn = np.zeros(image.shape, np.uint8)
    for kind in range(1, 4):
        drawn[polygons_to_label(geometry[kinds == kind], image.shape) > 0] = kind
    assert np.array_equal(drawn, image)


def _first_pixel(area: shapely.Geometry) -> tuple[float, float]:
    """Upper left corner of the first pixel of an area in reading order: no two areas have the same."""
    return min((y, x) for x, y in shapely.get_coordinates(area).tolist())


def test_an_area_around_another_keeps_its_hole() -> None:
    image = np.ones((9, 9), np.uint8)
    image[3:6, 3:6] = 2
    parts = list(connected_areas([image[:4], image[4:]]))
    outer, inner = sorted((g for part in parts for g in part.geometry), key=lambda g: -g.area)
    assert (outer.area, len(outer.interiors), inner.area) == (72, 1, 9)
    assert outer.exterior.is_ccw


def test_what_is_stored_is_not_computed_again(tmp_path: Path) -> None:
    image, store = painted(TRUTH), AreaStore(tmp_path / "tiles")
    first = mapper(image, store=store)
    first.find()
    model = PaintedTissue()
    again = mapper(image, model=model, store=AreaStore(tmp_path / "tiles"))
    told: list[tuple[int, int | None]] = []
    again.find(lambda tiles, found: told.append((tiles, found)))
    assert model.seen == 0
    assert sum(tiles for tiles, _ in told) == len(again.grid)
    assert np.array_equal(again.class_image(), first.class_image())
    assert again.tissue_pixels().tolist() == first.tissue_pixels().tolist()
    assert again.tissue_pixels().tolist() == np.bincount(TRUTH.ravel(), minlength=4).tolist()


@pytest.mark.parametrize("mpp", [0.25, 0.5, 0.2])
def test_the_files_agree_with_each_other(tmp_path: Path, mpp: float) -> None:
    image = painted(TRUTH)
    region = Region(20, 10, 390, 280)
    work = mapper(image, mpp=mpp, region=region)
    work.find()
    target = Target(tmp_path, tmp_path / "work", ("geojson", "classes", "overlay"), region, mpp, {"slide": "it"})
    rows: list[int] = []
    summary, areas = write_area_results(work, target, keep=True, watch=rows.append)
    assert len(rows) == work.grid.rows
    assert sum(rows) == len(areas) == summary["areas"]
    read, warnings = read_geojson(tmp_path / "areas.geojson")
    assert warnings == []
    assert [*read.class_name] == [*areas.class_name]
    features = json.loads((tmp_path / "areas.geojson").read_text())["features"]
    assert {feature["properties"]["objectType"] for feature in features} == {"annotation"}
    classes = tifffile.imread(tmp_path / "classes.tif")
    assert classes.shape == (280, 390)
    assert (classes == TRUTH[10:290, 20:410]).mean() > (0.999 if mpp == 0.25 else 0.95)
    with tifffile.TiffFile(tmp_path / "classes.tif") as file:
        described = json.loads(file.pages[0].description)
    assert described == {"x": 20, "y": 10, "classes": {"1": "tumour", "2": "stroma", "3": "other"}}
    drawn = np.zeros(classes.shape, np.uint8)
    for kind, name in enumerate(NAMES, start=1):
        moved = shapely.transform(areas.geometry[areas.class_name == name], lambda xy: xy - (20, 10))
        drawn[polygons_to_label(np.asarray(moved, dtype=object), classes.shape) > 0] = kind
    assert (drawn == classes).mean() > 0.999
    for kind, name in enumerate(NAMES, start=1):
        mm2 = (classes == kind).sum() * (mpp / 1000) ** 2
        assert summary["classes"][name]["mm2"] == pytest.approx(mm2, rel=0.02)
        assert summary["classes"][name]["areas"] == (areas.class_name == name).sum()
    assert summary["classified_mm2"] == pytest.approx(sum(one["mm2"] for one in summary["classes"].values()), abs=1e-5)
    for kind, name in enumerate(NAMES, start=1):
        share = (TRUTH[10:290, 20:410] == kind).mean()  # the picture is tissue all over
        assert summary["classes"][name]["share_of_tissue"] == pytest.approx(share, abs=0.02)
    whole = sum(one["share_of_tissue"] for one in summary["classes"].values())
    assert summary["share_of_tissue"] == pytest.approx(whole, abs=1e-5)
    assert whole < 0.999  # background is tissue, and no area
    assert summary["region_mm2"] == pytest.approx(390 * 280 * (mpp / 1000) ** 2, abs=1e-6)
    with Image.open(tmp_path / "overlay.png") as overlay:
        assert overlay.size == (390, 280)


@pytest.mark.parametrize("background", [True, False])
def test_shares_are_of_the_tissue(tmp_path: Path, background: bool) -> None:
    """A hundred rows of glass between two fields: their class, if they have one, is no share of the tissue."""
    left, right = np.ones((150, 300), np.uint8), np.full((150, 300), 2, np.uint8)
    right[:, :100] = 0 if background else 3
    image = np.concatenate([painted(left), np.full((100, 300, 3), 250, np.uint8), painted(right)])
    work = mapper(image, 256, model=PaintedTissue(background=background))
    work.find()
    region = Region(0, 0, 300, 400)
    summary, _ = write_area_results(work, Target(tmp_path, tmp_path, (), region, 0.25, {}))
    shares = [one["share_of_tissue"] for one in summary["classes"].values()]
    assert shares == pytest.approx([1 / 2, 1 / 3, 0 if background else 1 / 6], abs=1e-6)
    assert summary["share_of_tissue"] == pytest.approx(5 / 6 if background else 1, abs=1e-6)
    assert summary["tissue_mm2"] == pytest.approx(0.75 * summary["region_mm2"], abs=1e-6)
    assert summary["classified_mm2"] > summary["share_of_tissue"] * summary["tissue_mm2"]  # some glass has a class


def test_glass_alone_has_no_shares(tmp_path: Path) -> None:
    work = mapper(np.full((99, 99, 3), 250, np.uint8))
    work.find()
    summary, _ = write_area_results(work, Target(tmp_path, tmp_path, (), Region(0, 0, 99, 99), 0.25, {}))
    assert summary["share_of_tissue"] is None
    assert {one["share_of_tissue"] for one in summary["classes"].values()} == {None}


def test_only_the_files_that_are_asked_for(tmp_path: Path) -> None:
    work = mapper(painted(TRUTH))
    work.find()
    region = Region(0, 0, 420, 300)
    _, areas = write_area_results(work, Target(tmp_path, tmp_path, ("classes",), region, 0.25, {}))
    assert len(areas) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["classes.tif", "summary.json"]


@pytest.mark.parametrize("step", [0.37, 1.0, 3.2])
def test_other_pixels_take_the_class_under_their_centre(step: float) -> None:
    work = mapper(painted(TRUTH), 224)
    work.find()
    shape = (int(300 / step), int(420 / step))
    found = np.concatenate(list(class_strips(work, shape, step, strip=37)))
    rows, columns = (((np.arange(count) + 0.5) * step).astype(int) for count in shape)
    assert np.array_equal(found, TRUTH[np.ix_(rows, columns)])


def test_a_model_of_the_other_task_is_refused(shared_bundled: Segmenter) -> None:
    with pytest.raises(InputError, match="finds nuclei"):
        mapper(painted(TRUTH), model=shared_bundled)
    work = mapper(painted(TRUTH))
    with pytest.raises(InputError, match="tells areas apart"):
        FieldSegmenter.in_memory(work.model, work.slide, work.grid, "slide")


@pytest.fixture
def shared_bundled() -> Segmenter:
    """The bundled model."""
    from histoseed.bundled import bundled_folder

    return load_segmenter(bundled_folder())
