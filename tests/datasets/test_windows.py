"""One window an annotation: where it lies, what is in it, which slide belongs to which file."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from histoseed.annotations import Instances, write_geojson
from histoseed.annotations.formats import FORMATS, AnnotatedImage, WriteOptions
from histoseed.datasets import Collection, Dataset, read_dataset, take_in, window_sources
from histoseed.datasets.window_sources import Shelf
from histoseed.datasets.windows import collect_windows, window_around
from histoseed.errors import AnnotationError, InputError
from histoseed.settings import Settings

IDS = [f"00000000-0000-4000-8000-0000000000{k:02}" for k in range(30)]
WIDTH, HEIGHT = 300, 200


def gradient(width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """A picture whose colour tells the place: red is x, green is y, modulo 256."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x % 256, y % 256, (x // 256) * 100 + 50], axis=2).astype(np.uint8)


@pytest.fixture
def placed(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """A function that writes slides and GeoJSON files: stem -> objects."""

    def write(**slides: Instances) -> tuple[Path, Path]:
        for folder in ("slides", "annotations"):
            (tmp_path / folder).mkdir(exist_ok=True)
        for stem, objects in slides.items():
            Image.fromarray(gradient()).save(tmp_path / "slides" / f"{stem}.png")
            write_geojson(tmp_path / "annotations" / f"{stem}.geojson", objects)
        return tmp_path / "slides", tmp_path / "annotations"

    return write


def boxes(*bounds: Sequence[float], **columns: object) -> Instances:
    return Instances.build([shapely.box(*one) for one in bounds], id=IDS[: len(bounds)], **columns)


def collected(folders: tuple[Path, Path], **options: object) -> Collection:
    return collect_windows(*folders, settings=Settings(), **options)


def made(folders: tuple[Path, Path], out: Path, **options: object) -> Dataset:
    dataset = take_in(collected(folders, **options), out, importer="windows", workers=2)
    dataset.verify()
    return dataset


coordinate = st.floats(0, 1000)


@given(
    st.tuples(coordinate, coordinate), st.tuples(coordinate, coordinate), st.floats(1, 8), st.integers(16, 2000),
    st.integers(1, 1200), st.integers(1, 1200),
)  # fmt: skip
def test_a_window_holds_its_object_and_stays_inside(
    xs: tuple[float, float], ys: tuple[float, float], dezoom: float, size: int, width: int, height: int
) -> None:
    bounds = [min(*xs, width), min(*ys, height), min(max(xs), width), min(max(ys), height)]
    window = window_around(bounds, (width, height), dezoom=dezoom, size=size)
    assert window.x >= 0
    assert window.y >= 0
    assert window.x + window.width <= width
    assert window.y + window.height <= height
    assert window.x <= bounds[0]
    assert window.x + window.width >= bounds[2]
    assert window.y <= bounds[1]
    assert window.y + window.height >= bounds[3]
    longer = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    wanted = longer * dezoom or size
    side = max(window.width, window.height)
    assert side <= wanted + 2
    if window.width != window.height:  # not square only where the slide is too small
        assert window.width == width or window.height == height
    if min(width, height) >= wanted + 2:
        assert side >= wanted
    assert window.scale == max(1.0, side / size)


def test_a_window_far_from_the_border_is_centred() -> None:
    window = window_around((100, 100, 120, 110), (1000, 1000), dezoom=3)
    assert (window.x, window.y, window.width, window.height, window.scale) == (80, 75, 60, 60, 1.0)


def test_pixels_objects_and_facts(placed: Callable, tmp_path: Path) -> None:
    folders = placed(**{"TCGA-A2-A0ES-01Z-00-DX1": boxes((100, 100, 120, 110), class_name="gland")})
    data = made(folders, tmp_path / "out", mpp=0.5)
    assert data.patch_ids == [f"TCGA-A2-A0ES-01Z-00-DX1_{IDS[0]}"]
    patch = data.patch(0)
    np.testing.assert_array_equal(patch.image, gradient()[85:125, 90:130])
    np.testing.assert_array_equal(np.argwhere(patch.labels > 0)[[0, -1]], [[15, 10], [24, 29]])
    assert (patch.x, patch.y, patch.mpp, patch.mpp_source) == (90.0, 85.0, 0.5, "user")
    assert (patch.slide, patch.patient, patch.centre) == ("TCGA-A2-A0ES-01Z-00-DX1", "TCGA-A2-A0ES", "A2")
    assert patch.group == "TCGA-A2-A0ES"
    assert not patch.exhaustive
    assert data.objects(0)["measurements"].to_list() == ['{"window_centre": 1.0}']
    assert data.objects(0)["instance_id"].to_list() == [IDS[0]]
    assert [c.name for c in data.classes] == ["gland"]
    complete = made(folders, tmp_path / "complete", exhaustive=True)
    assert complete.patch(0).exhaustive
    assert complete.patch(0).mpp is None


def test_a_large_object_is_resampled_and_a_small_one_is_not_enlarged(placed: Callable, tmp_path: Path) -> None:
    data = made(placed(a=boxes((40, 20, 140, 120), (200, 50, 210, 60))), tmp_path / "out", size=50, mpp=0.25)
    large, small = data.patch(0), data.patch(1)
    assert (large.image.shape, large.mpp) == ((50, 50, 3), 1.0)
    assert (large.x, large.y) == (0.0, 0.0)  # a window of 200 pixels, shifted into the slide of 200 rows
    # Each pixel of the window is the mean of 4 x 4 of the slide.
    np.testing.assert_allclose(large.image[:, :, 0], np.tile(np.arange(50) * 4 + 1.5, (50, 1)), atol=1)
    np.testing.assert_array_equal(np.argwhere(large.labels == 1)[[0, -1]], [[5, 10], [29, 34]])
    box = data.objects(0).filter(data.objects(0)["instance_id"] == IDS[0]).select("x0", "y0", "x1", "y1").row(0)
    assert box == (10.0, 5.0, 35.0, 30.0)
    assert (small.image.shape, small.mpp) == ((20, 20, 3), 0.25)


def test_a_window_larger_than_the_slide_is_the_slide(placed: Callable, tmp_path: Path) -> None:
    data = made(placed(a=boxes((10, 10, 290, 190))), tmp_path / "out", dezoom=3)
    np.testing.assert_array_equal(data.patch(0).image, gradient())


def test_cut_neighbours_become_ignore_area_and_whole_ones_objects(placed: Callable, tmp_path: Path) -> None:
    objects = boxes(
        (100, 100, 120, 120),  # its window is 90..130
        (92, 92, 98, 98),  # inside
        (125, 100, 140, 110),  # cut
        (130, 120, 150, 130),  # touches the border
        (0, 0, 300, 200),  # an area that holds all of it
        class_name=["cell", "cell", "cell", "cell", "area"],
    )
    data = made(placed(a=objects), tmp_path / "out", classes=["cell"])
    assert len(data) == 4
    patch = data.patch(0)
    mine = data.objects(0)
    assert mine.filter(mine["layer"] == "nucleus")["instance_id"].to_list() == [IDS[0], IDS[1]]
    expected = np.ones((40, 40), bool)
    expected[10:30, 10:30] = expected[2:8, 2:8] = False
    np.testing.assert_array_equal(patch.ignore, expected)
    # Without the area only the neighbour that is cut is ignored.
    data = made((tmp_path / "slides", tmp_path / "annotations"), tmp_path / "out2", leave_out=["area"])
    expected = np.zeros((40, 40), bool)
    expected[10:20, 35:] = True
    np.testing.assert_array_equal(data.patch(0).ignore, expected)
    assert any("1 objects are cut" in note or "objects are cut by the border" in note for note in data.info.notes)
    # The central one is marked in its own window only.
    marked = data.instances.filter(data.instances["measurements"] == '{"window_centre": 1.0}')
    assert marked.select("patch_id", "instance_id").rows() == [(f"a_{one}", one) for one in IDS[:4]]
    # The same object in two windows has one id, so that splits keep them together.
    assert data.instances["instance_id"].is_duplicated().any()


def test_small_objects_stay_visible_on_large_ones(placed: Callable, tmp_path: Path) -> None:
    objects = boxes((110, 110, 114, 114), (100, 100, 120, 120), class_name=["cell", "gland"])
    data = made(placed(a=objects), tmp_path / "out", classes=["gland"])
    patch = data.patch(0)
    assert {patch.classes[k - 1] for k in patch.class_ids[np.unique(patch.labels)] if k} == {"cell", "gland"}
    assert patch.classes[patch.class_ids[patch.labels[21, 21]] - 1] == "cell"


def test_points_and_boxes_keep_their_kind(placed: Callable, tmp_path: Path) -> None:
    slides, _ = placed(a=boxes((0, 0, 1, 1)))
    objects = Instances.build(
        [shapely.Point(150, 100), shapely.box(140, 90, 160, 110)], kind=["point", "box"], id=IDS[:2]
    )
    file = tmp_path / "objects.geoparquet"
    FORMATS["geoparquet"].write(file, [AnnotatedImage("a", (WIDTH, HEIGHT), objects)], WriteOptions())
    data = made((slides / "a.png", file), tmp_path / "out", size=64)
    point, box = data.objects(0), data.objects(1)
    assert data.patch(0).image.shape == (64, 64, 3)  # a point has no extent: as large as --size
    assert point["kind"].to_list() == ["box", "point"]
    assert point.filter(point["kind"] == "point").select("centroid_x", "centroid_y").row(0) == (32.0, 32.0)
    assert data.patches["mask"].to_list() == [None, None]
    assert box.filter(box["kind"] == "box").select("x0", "y0", "x1", "y1").row(0) == (10.0, 10.0, 30.0, 30.0)


def test_marks_of_regions_and_ignore_areas(placed: Callable, tmp_path: Path) -> None:
    objects = boxes(
        (100, 100, 110, 110), (95, 95, 99, 118), (90, 90, 115, 115), class_name=["cell", "Ignore*", "Region*"]
    )
    folders = placed(a=objects)
    data = made(folders, tmp_path / "out")
    assert data.patch_ids == [f"a_{IDS[0]}"]  # neither gets a window
    expected = np.zeros((20, 20), bool)
    expected[:, :4] = True
    np.testing.assert_array_equal(data.patch(0).ignore, expected)
    assert data.objects(0)["layer"].to_list() == ["nucleus", "ignore"]
    assert len(collected(folders, classes=["Region*", "Ignore*"]).items) == 2


def test_only_some_classes_get_a_window_but_all_are_shown(placed: Callable, tmp_path: Path) -> None:
    folders = placed(a=boxes((100, 100, 120, 120), (105, 105, 110, 110), class_name=["gland", "cell"]))
    data = made(folders, tmp_path / "out", classes=["gland"])
    assert len(data) == 1
    assert data.instances.height == 2
    with pytest.raises(InputError, match=r"'glnd'.*Did you mean 'gland'"):
        collected(folders, classes=["glnd"])
    with pytest.raises(AnnotationError, match="No object gets a window"):
        collected(folders, classes=["gland"], leave_out=["gland"])


def test_several_slides_in_order_and_those_without_annotations(placed: Callable, tmp_path: Path) -> None:
    folders = placed(b=boxes((10, 10, 20, 20)), a=boxes((10, 10, 20, 20), (30, 30, 40, 40)))
    Image.fromarray(gradient()).save(folders[0] / "alone.png")
    (folders[0] / "notes.txt").write_text("no slide")
    (folders[1] / "notes.md").write_text("no annotations")
    data = made(folders, tmp_path / "out")
    assert data.patches["slide"].to_list() == ["a", "a", "b"]
    notes = " ".join(data.info.notes)
    assert "There are no annotations for alone.png." in notes
    assert "No annotations were recognised in notes.md." in notes
    assert "One window an object, 2 times as large as its box, at most 1024 pixels." in notes


def test_names_with_two_suffixes_and_slides_beside_annotations(tmp_path: Path) -> None:
    Image.fromarray(gradient()).save(tmp_path / "case.1.png")
    write_geojson(tmp_path / "case.1.png.geojson", boxes((10, 10, 20, 20)))
    assert len(collected((tmp_path, tmp_path)).items) == 1


def test_one_slide_and_one_file_belong_together(placed: Callable, tmp_path: Path) -> None:
    slides, annotations = placed(a=boxes((10, 10, 20, 20)))
    other = annotations / "other.geojson"
    (annotations / "a.geojson").rename(other)
    assert len(collected((slides / "a.png", other)).items) == 1
    with pytest.raises(InputError, match=r"no slide for the annotations of other\.geojson"):
        collected((slides, annotations))


def test_a_file_of_several_images_names_its_slides(placed: Callable, tmp_path: Path) -> None:
    slides, _ = placed(a=boxes((0, 0, 9, 9)), b=boxes((0, 0, 9, 9)))
    images = [
        AnnotatedImage(f"{name}.png", (WIDTH, HEIGHT), boxes((10 * k, 10, 10 * k + 8, 20), class_name=name))
        for k, name in enumerate("ab", start=1)
    ]
    FORMATS["coco"].write(tmp_path / "all.json", images, WriteOptions())
    data = made((slides, tmp_path / "all.json"), tmp_path / "out")
    assert data.patches["slide"].to_list() == ["a", "b"]
    assert data.instances["class_name"].to_list() == ["a", "b"]


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"stardist", "labels", "ome-tiff", "spatialdata"}))
def test_every_vector_format_is_read(name: str, placed: Callable, tmp_path: Path) -> None:
    slides, _ = placed(a=boxes((0, 0, 1, 1)))
    image = AnnotatedImage("a.png", (WIDTH, HEIGHT), boxes((100, 50, 120, 60), class_name="x"))
    file = tmp_path / f"a{FORMATS[name].file_suffix}"
    FORMATS[name].write(file, [image], WriteOptions())
    collection = collected((slides, file), format_name=name)
    assert len(collection.items) == 1
    content = collection.items[0].read()
    assert content.image.shape == (40, 40, 3)
    assert content.objects.bounds().round().tolist() == [[10, 15, 30, 25]]
    assert (collection.items[0].facts["x"], collection.items[0].facts["y"]) == (90.0, 35.0)


def test_objects_that_leave_the_slide_are_cut_and_reported(placed: Callable, tmp_path: Path) -> None:
    folders = placed(a=boxes((290, 100, 320, 110), (10, 10, 20, 20)))
    remarks = " ".join(one.text for _, one in collected(folders).remarks)
    assert "cut at its border" in remarks or "outside" in remarks
    content = collected(folders).items[0].read()
    assert content.objects.bounds().max() <= content.image.shape[1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dezoom": 0.5}, "--dezoom"),
        ({"dezoom": math.nan}, "--dezoom"),
        ({"size": 8}, "--size"),
        ({"mpp": 0.0}, "--mpp"),
    ],
)
def test_options_out_of_range(placed: Callable, options: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        collected(placed(a=boxes((0, 0, 9, 9))), **options)


def test_sources_that_do_not_fit(placed: Callable, tmp_path: Path) -> None:
    slides, annotations = placed(a=boxes((0, 0, 9, 9)))
    empty = tmp_path / "empty"
    empty.mkdir()
    for pair, words in (
        ((tmp_path / "no", annotations), "no such file"), ((slides, tmp_path / "no"), "no such file"),
        ((empty, annotations), "no slide"), ((slides, empty), "no annotations"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            collected(pair)
    (annotations / "a.png.geojson").write_bytes((annotations / "a.geojson").read_bytes())
    with pytest.raises(InputError, match=r"Several files hold annotations of a\.png"):
        collected((slides, annotations))
    (annotations / "a.png.geojson").unlink()
    Image.fromarray(gradient()).save(slides / "a.tif")
    with pytest.raises(InputError, match="Several slides have the name a"):
        collected((slides, annotations))
    (slides / "a.tif").unlink()
    (annotations / "a.geojson").write_text('{"type": "FeatureCollection", "features": [{}]}')
    with pytest.raises(AnnotationError):
        collected((slides, annotations))


def test_the_result_does_not_depend_on_the_number_of_threads(placed: Callable, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 150, (25, 2))
    folders = placed(**{name: boxes(*((x, y, x + 9, y + 7) for x, y in corners)) for name in "abc"})
    outs = []
    for workers in (1, 4):
        out = tmp_path / f"w{workers}"
        take_in(collected(folders, name="w"), out, importer="windows", workers=workers)
        outs.append({str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()})
    assert outs[0] == outs[1]
    assert len(read_dataset(tmp_path / "w1")) == 75


def test_few_sheets_and_slides_are_held_and_all_are_closed(
    placed: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = placed(**{f"s{k}": boxes((10, 10, 20, 20)) for k in range(6)})
    monkeypatch.setattr(window_sources, "_MOST_HELD", 2)
    opened: list = []
    real = window_sources.open_slide
    monkeypatch.setattr(window_sources, "open_slide", lambda *a, **k: opened.append(real(*a, **k)) or opened[-1])
    shelves: list[Shelf] = []
    init = Shelf.__init__
    monkeypatch.setattr(Shelf, "__init__", lambda self, *a, **k: (init(self, *a, **k), shelves.append(self))[0])
    collection = collected(folders)
    opened.clear()
    most = 0
    for item in collection.items:
        item.read()
        most = max(most, len(shelves[0]._slides))
        assert len(shelves[0]._sheets) <= 2
    assert most <= 3
    assert len(opened) == 6
    del collection, item
    shelves.clear()
    gc.collect()
    assert all(slide._closed for slide in opened)


def test_rectangles_are_boxes_where_that_is_said(placed: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    names = ["cell", "cell", "cell", "Region*"]
    objects = boxes((20, 20, 40, 50), (60, 60, 90, 80), (100, 20, 130, 50), (0, 0, 200, 150), class_name=names)
    folders = placed(a=objects)
    outlined = collected(folders)
    (remark,) = [one for _, one in outlined.remarks if "upright" in one.text]
    assert "say --boxes" in remark.text
    plain, boxed = made(folders, tmp_path / "plain"), made(folders, tmp_path / "boxed", boxes=True)
    assert [(patch.labels > 0).any() for patch in plain] == [True] * 3
    for patch in boxed:
        assert not patch.labels.any()  # no mask is made of a box
        assert len(patch.marks.boxes) >= 1
    assert collected(folders, boxes=True).remarks == []
