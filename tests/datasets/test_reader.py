"""Reading: every way in which a data set can be broken has its own error, which names the file and the row."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import polars as pl
import pytest
import shapely
import tifffile

from histoseed.annotations import Instances
from histoseed.datasets import (
    Collection,
    Dataset,
    DatasetInfo,
    Item,
    PatchContent,
    named_classes,
    read_dataset,
    take_in,
)
from histoseed.datasets.content import SlideArea
from histoseed.errors import DatasetError, LimitError
from histoseed.settings import Settings

Edit = Callable[[Dataset, str, Callable[[pl.DataFrame], pl.DataFrame]], None]


def _set(column: str, row: int, value: object) -> Callable[[pl.DataFrame], pl.DataFrame]:
    def change(frame: pl.DataFrame) -> pl.DataFrame:
        values = frame[column].to_list()
        values[row] = value
        return frame.with_columns(pl.Series(column, values, dtype=frame.schema[column]))

    return change


def _message(error: pytest.ExceptionInfo) -> str:
    assert "Traceback" not in str(error.value)
    return str(error.value)


def test_order_selection_and_iteration(tiny: Dataset):
    assert len(tiny) == 4
    assert [p.patch_id for p in tiny] == tiny.patch_ids == ["a", "b", "c", "d"]
    assert tiny.patch(-1).patch_id == "d"
    assert tiny.select(groups=["p2"]).patch_ids == ["c", "d"]
    assert tiny.select(split="test").patch_ids == ["c"]
    assert tiny.select(groups="p1", patch_ids=["b", "c"]).patch_ids == ["b"]
    chosen = tiny.subset(["c", 0])
    assert chosen.patch_ids == ["c", "a"]
    assert chosen.instances.height == 6
    np.testing.assert_array_equal(chosen.patch(1).image, tiny.patch("a").image)
    assert pickle.loads(pickle.dumps(chosen)).patch("c").mpp == 0.5


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda d: d.patch("A1"), "no patch 'A1'"),
        (lambda d: d.patch(4), "has 4"),
        (lambda d: d.select(split="tst"), "'test'"),
        (lambda d: d.select(groups=["p3"]), "Use one of p1, p2"),
        (lambda d: d.select(groups=["p1"], split="test"), "no patch"),
        (lambda d: d.subset([]), "no patch"),
        (lambda d: d.subset(["a", 0]), "twice"),
    ],
)
def test_a_name_that_does_not_exist_is_answered(tiny: Dataset, call: Callable, word: str):
    with pytest.raises(DatasetError) as caught:
        call(tiny)
    assert word in _message(caught)


def test_describe_counts(tiny: Dataset):
    found = tiny.describe()
    json.dumps(found)
    assert (found["patches"], found["objects"], found["unclassified"]) == (4, 9, 3)
    assert found["classes"] == {"tumour": 3, "stroma": 3}
    assert found["mpp"] == {"0.25": 2, "0.5": 1, "unknown": 1}
    assert found["groups"] == {"group": 2, "patient": 2, "slide": 3, "centre": 0}
    assert found["splits"] == {"test": {"patches": 1, "objects": 3}, "none": {"patches": 3, "objects": 6}}
    assert (found["exhaustive"], found["with_ignore"], found["with_regions"]) == (3, 1, 0)
    areas_um2 = np.array([36, 18, 50, 36, 18, 50, 36 * 4, 18 * 4, 50 * 4]) * 0.25**2
    expected = np.quantile(2 * np.sqrt(areas_um2 / np.pi), [0.25, 0.5, 0.75])
    assert found["diameter_um"] == pytest.approx(expected, abs=0.006)
    assert found["diameter_px"] is None
    assert found["objects_per_patch"] == [2.25, 3.0, 3.0]


def test_describe_finds_what_stands_on_two_sides(tiny: Dataset, edit: Edit):
    edit(tiny, "patches", lambda f: f.with_columns(pl.Series("split", ["train", "test", "test", "test"])))
    edit(tiny, "instances", _set("instance_id", 3, tiny.instances["instance_id"][0]))
    leakage = read_dataset(tiny.path).describe()["leakage"]
    assert leakage["patient"] == ["p1"]
    assert leakage["slide"] == []
    assert leakage["object"] == [tiny.instances["instance_id"][0]]


def test_no_data_set(tmp_path: Path):
    with pytest.raises(DatasetError, match="no such folder"):
        read_dataset(tmp_path / "nothing")
    with pytest.raises(DatasetError, match=r"dataset\.json is missing"):
        read_dataset(tmp_path)


@pytest.mark.parametrize("table", ["patches", "instances"])
@pytest.mark.parametrize("content", [None, b"", b"PAR1 nonsense", "truncated"])
def test_a_table_that_is_damaged(tiny: Dataset, table: str, content: bytes | str | None):
    path = tiny.path / f"{table}.parquet"
    data = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(data[: len(data) // 2] if isinstance(content, str) else content)
    with pytest.raises(DatasetError) as caught:
        read_dataset(tiny.path)
    assert str(path) in _message(caught)


@pytest.mark.parametrize(
    ("table", "column"),
    [("patches", "exhaustive"), ("patches", "sha256"), ("instances", "label"), ("instances", "kind")],
)
def test_a_missing_column_is_named(tiny: Dataset, edit: Edit, table: str, column: str):
    edit(tiny, table, lambda f: f.drop(column))
    with pytest.raises(DatasetError, match=rf"{table}\.parquet.*'{column}'"):
        read_dataset(tiny.path)


@pytest.mark.parametrize(
    ("table", "column", "dtype"),
    [("patches", "width", pl.String), ("patches", "exhaustive", pl.String), ("instances", "label", pl.Float64)],
)
def test_a_column_of_another_type_is_named(tiny: Dataset, edit: Edit, table: str, column: str, dtype: type):
    edit(tiny, table, lambda f: f.with_columns(pl.col(column).cast(dtype)))
    with pytest.raises(DatasetError, match=rf"{table}\.parquet.*'{column}'"):
        read_dataset(tiny.path)


def test_tables_of_other_writers_are_taken(tiny: Dataset, edit: Edit):
    """Other widths of the same kind of type, more columns, and without the optional hashes."""
    edit(
        tiny,
        "patches",
        lambda f: f.drop("mask_sha256", "regions_sha256", "ignore_sha256").with_columns(
            pl.col("width").cast(pl.UInt64), pl.col("organ").cast(pl.Categorical), pl.lit(1).alias("extra")
        ),
    )
    edit(tiny, "instances", lambda f: f.with_columns(pl.col("x0").cast(pl.Float32), pl.col("label").cast(pl.UInt16)))
    dataset = read_dataset(tiny.path, verify=True)
    assert dataset.patches.schema["width"] == pl.Int32
    assert "extra" in dataset.patches.columns
    assert dataset.patch("a").ignore is not None


_PATCH_FAULTS = [
    ("patch_id", 1, "a", "several rows"),
    ("patch_id", 1, "A", "several rows"),
    ("patch_id", 1, "../b", "patch id"),
    ("patch_id", 1, None, "'patch_id' is empty"),
    ("image", 1, None, "'image' is empty"),
    ("image", 1, "../images/b.png", "leads out"),
    ("image", 1, "/etc/passwd", "leads out"),
    ("image", 1, "images\\b.png", "leads out"),
    ("image", 1, "C:/b.png", "leads out"),
    ("image", 1, "images/x.png", "images/x.png is missing"),
    ("image", 1, "slides/x.svs", "'x' or 'y' is empty"),
    ("mask", 1, "masks/../../x.tif", "leads out"),
    ("mask", 1, "", "leads out"),
    ("mask", 1, "masks/x.tif", "masks/x.tif is missing"),
    ("mask", 1, None, "'mask' is empty"),
    ("width", 1, 0, "0 x 24"),
    ("mpp", 1, 1000.0, "'mpp' is 1000.0"),
    ("mpp", 1, float("nan"), "'mpp' is nan"),
    ("mpp", 1, None, "'mpp_source' is 'user'"),
    ("mpp_source", 1, "guess", "'guess'"),
    ("mpp_source", 1, None, "'mpp_source' is empty"),
    ("split", 1, "validation", "'validation'"),
    ("exhaustive", 1, None, "'exhaustive' is empty"),
    ("ignore_sha256", 1, "0", "ignore/b.tif is missing"),
    ("regions_sha256", 1, "0", "regions/b.tif is missing"),
]


@pytest.mark.parametrize(("column", "row", "value", "word"), _PATCH_FAULTS)
def test_a_fault_in_patches_names_file_and_row(
    tiny: Dataset, edit: Edit, column: str, row: int, value: object, word: str
):
    edit(tiny, "patches", _set(column, row, value))
    with pytest.raises(DatasetError) as caught:
        read_dataset(tiny.path)
    message = _message(caught)
    assert word in message
    assert "patches.parquet, row " in message
    if "several" not in word:
        assert f"row {row}" in message


_INSTANCE_FAULTS = [
    ("patch_id", "z", "no such patch"),
    ("patch_id", None, "'patch_id' is empty"),
    ("label", 1, "two objects of the label 1"),
    ("label", 0, "start at 1"),
    ("label", None, "no label"),
    ("instance_id", None, "'instance_id' is empty"),
    ("class_name", "tumor", "no class 'tumor'"),
    ("layer", "cell", "'cell'"),
    ("layer", "ignore", "has a label"),
    ("kind", "circle", "'circle'"),
    ("kind", "polygon", "no geometry"),
    ("kind", "point", "has a label"),
    ("x0", float("inf"), "not a finite number"),
    ("x0", 31.0, "not x0, y0, x1, y1"),
    ("area_px", None, "'area_px' is empty"),
    ("centroid_y", None, "'centroid_y' is empty"),
    ("locked", None, "'locked' is empty"),
]


@pytest.mark.parametrize(("column", "value", "word"), _INSTANCE_FAULTS)
def test_a_fault_in_instances_names_file_and_row(tiny: Dataset, edit: Edit, column: str, value: object, word: str):
    edit(tiny, "instances", _set(column, 1, value))
    with pytest.raises(DatasetError) as caught:
        read_dataset(tiny.path)
    message = _message(caught)
    assert word in message
    assert "instances.parquet, row " in message
    if "two objects" not in word:
        assert "row 1 " in message


def test_an_object_twice_in_a_patch(tiny: Dataset, edit: Edit):
    edit(tiny, "instances", _set("instance_id", 1, tiny.instances["instance_id"][0]))
    with pytest.raises(DatasetError, match=r"instances\.parquet, row 0.*two objects of the id.*2 rows"):
        read_dataset(tiny.path)


@pytest.mark.parametrize("name", ["images/b.png", "masks/b.tif"])
def test_a_missing_file_names_file_and_row(tiny: Dataset, name: str):
    (tiny.path / name).unlink()
    with pytest.raises(DatasetError) as caught:
        read_dataset(tiny.path)
    message = _message(caught)
    assert name in message
    assert "row 1 (patch 'b')" in message
    with pytest.raises(DatasetError):  # also when it vanishes after opening
        tiny.patch("b")


def test_links_out_of_the_data_set_are_refused(tiny: Dataset, tmp_path: Path):
    target = tmp_path / "elsewhere.png"
    (tiny.path / "images" / "b.png").rename(target)
    (tiny.path / "images" / "b.png").symlink_to(target)
    with pytest.raises(DatasetError, match="link that leads out"):
        read_dataset(tiny.path)


def _png(array: np.ndarray) -> bytes:
    return bytes(imagecodecs.png_encode(array))


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "Not a PNG"),
        (b"GIF89a" + bytes(100), "Not a PNG"),
        (_png(np.zeros((24, 33, 3), np.uint8)), "33 x 24"),
        (_png(np.zeros((24, 32), np.uint8)), "must be RGB"),
        (_png(np.zeros((24, 32, 4), np.uint8)), "must be RGB"),
        (_png(np.zeros((24, 32, 3), np.uint16)), "must be RGB"),
        ("truncated", "damaged"),
    ],
)
def test_a_picture_that_breaks_the_format(tiny: Dataset, content: bytes | str, word: str):
    path = tiny.path / "images" / "b.png"
    path.write_bytes(path.read_bytes()[:400] if isinstance(content, str) else content)
    with pytest.raises(DatasetError, match=word) as caught:
        read_dataset(tiny.path).patch("b")
    assert str(path) in _message(caught)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "damaged"),
        (b"II*\0" + bytes(50), "damaged"),
        ("truncated", "damaged"),
        (np.zeros((24, 33), np.uint16), "33 x 24"),
        (np.zeros((24, 32), np.float32), "float32"),
        (np.zeros((24, 32, 3), np.uint16), "shape"),
        (np.zeros((24, 32), np.uint16), "label 1, 3, 4"),
        (np.full((24, 32), 9, np.uint16), "label 9"),
    ],
)
def test_a_mask_that_breaks_the_format(tiny: Dataset, content: bytes | str | np.ndarray, word: str):
    path = tiny.path / "masks" / "b.tif"
    if isinstance(content, np.ndarray):
        tifffile.imwrite(path, content, photometric="rgb" if content.ndim == 3 else "minisblack")
    else:
        path.write_bytes(path.read_bytes()[:-40] if isinstance(content, str) else content)
    with pytest.raises(DatasetError, match=word) as caught:
        read_dataset(tiny.path).patch("b")
    assert "b.tif" in _message(caught)


@pytest.mark.parametrize(
    ("name", "column"), [("images/b.png", "sha256"), ("masks/b.tif", "mask_sha256"), ("ignore/a.tif", "ignore_sha256")]
)
def test_a_wrong_hash_is_found_when_asked_for(tiny: Dataset, name: str, column: str):
    path = tiny.path / name
    path.write_bytes(path.read_bytes() + b"\0")
    read_dataset(tiny.path)
    with pytest.raises(DatasetError) as caught:
        read_dataset(tiny.path, verify=True)
    message = _message(caught)
    assert name in message
    assert repr(column) in message


@pytest.mark.parametrize("column", ["area_px", "x1", "centroid_y"])
def test_a_wrong_measure_is_found_when_asked_for(tiny: Dataset, edit: Edit, column: str):
    edit(tiny, "instances", _set(column, 4, 11.5))
    read_dataset(tiny.path)
    with pytest.raises(DatasetError, match=rf"patch 'b', label 3.*'{column}' is 11\.5"):
        read_dataset(tiny.path, verify=True)


@pytest.mark.parametrize(
    ("kind", "geometry", "word"),
    [
        ("box", b"nonsense", "cannot be read"),
        ("box", shapely.Point(1, 1).wkb, "cannot be a Point"),
        ("point", shapely.box(0, 0, 1, 1).wkb, "cannot be a Polygon"),
        ("box", shapely.Polygon().wkb, "is empty"),
    ],
)
def test_a_geometry_that_breaks_the_format(tiny: Dataset, edit: Edit, kind: str, geometry: bytes, word: str):
    extra = tiny.instances[:1].with_columns(
        pl.lit("new").alias("instance_id"),
        pl.lit(None, dtype=pl.Int64).alias("label"),
        pl.lit(kind).alias("kind"),
        pl.lit(geometry).alias("geometry"),
    )
    edit(tiny, "instances", lambda f: pl.concat([f, extra]))
    dataset = read_dataset(tiny.path)
    with pytest.raises(DatasetError, match=word) as caught:
        dataset.instances_of("a")
    assert "instances.parquet (patch 'a')" in _message(caught)


def _npz(path: Path, **arrays: np.ndarray) -> None:
    np.savez_compressed(path, **arrays)


@pytest.mark.parametrize(
    ("write", "word"),
    [
        (lambda p: p.write_bytes(b"x"), "class probabilities"),
        (lambda p: _npz(p, other=np.zeros((3, 2))), "class probabilities"),
        (lambda p: _npz(p, probabilities=np.zeros((2, 2))), r"\(2, 2\), not \(3, 2\)"),
        (lambda p: _npz(p, probabilities=np.zeros((3, 100_000))), "larger than"),
        (lambda p: _npz(p, probabilities=np.array([{}], dtype=object)), "class probabilities"),
    ],
)
def test_probabilities_that_break_the_format(tiny: Dataset, write: Callable[[Path], None], word: str):
    path = tiny.path / "probs" / "a.npz"
    path.parent.mkdir()
    write(path)
    with pytest.raises(DatasetError, match=word) as caught:
        tiny.probabilities("a")
    assert str(path) in _message(caught)


def test_regions_need_names(tiny: Dataset):
    (tiny.path / "regions").mkdir()
    tifffile.imwrite(tiny.path / "regions" / "a.tif", np.ones((24, 32), np.uint8))
    with pytest.raises(DatasetError, match=r"regions/a\.tif holds 1"):
        read_dataset(tiny.path).patch("a")


def test_limits_are_looked_at_before_decoding(tiny: Dataset):
    with pytest.raises(LimitError, match="max_objects"):
        read_dataset(tiny.path, settings=Settings(max_objects=5))
    dataset = read_dataset(tiny.path, settings=Settings(max_pixels=100))
    with pytest.raises(LimitError, match="max_pixels"):
        dataset.patch("a")


def test_rows_of_a_selection_are_those_of_the_file(tiny: Dataset):
    (tiny.path / "masks" / "c.tif").unlink()
    with pytest.raises(DatasetError, match="row 2 "):
        tiny.select(split="test").patch(0)


def test_a_patch_can_be_a_region_of_a_slide(tiny: Dataset, edit: Edit, tmp_path: Path):
    """The slide lies at 0.25 microns per pixel, the patch at 0.5: four pixels of a ramp make one of the patch."""
    rows, columns = np.indices((120, 160))
    slide = np.dstack([columns, rows, 0 * rows]).astype(np.uint8)
    folder = tmp_path / "slides"
    folder.mkdir()
    tifffile.imwrite(
        folder / "s.tif", slide, photometric="rgb", resolution=(40_000, 40_000), resolutionunit="CENTIMETER"
    )

    def change(frame: pl.DataFrame) -> pl.DataFrame:
        for column, value in (("image", "s.tif"), ("x", 20.0), ("y", 10.0), ("sha256", None)):
            frame = _set(column, 2, value)(frame)
        return frame

    edit(tiny, "patches", change)
    with pytest.raises(DatasetError, match=r"s\.tif is missing"):
        read_dataset(tiny.path)
    patch = read_dataset(tiny.path, slides=folder).patch("c")
    rows, columns = np.indices((24, 32))
    expected = np.dstack([20.5 + 2 * columns, 10.5 + 2 * rows, 0 * rows])
    assert np.abs(patch.image - expected).max() <= 1


def _on_a_slide(tmp_path: Path, width: int, height: int) -> tuple[Path, Path]:
    """A data set of one patch, which is a whole slide of 160 x 120 pixels with one outline, and the slide's folder."""
    slides = tmp_path / "slides"
    slides.mkdir()
    tifffile.imwrite(slides / "s.tif", np.full((120, 160, 3), 200, np.uint8), photometric="rgb")
    content = PatchContent(
        image=SlideArea("s.tif", width, height),
        region_outlines=Instances.build([shapely.box(10, 10, 90, 60)], class_name="tumour"),
    )
    info = DatasetInfo(name="slides", region_classes=named_classes(["tumour"]))
    item = Item(patch_id="s", read=lambda: content, facts={"x": 0.0, "y": 0.0, "exhaustive": False})
    take_in(Collection(info=info, items=[item]), tmp_path / "ds", importer="test", source=slides)
    return tmp_path / "ds", slides


def test_a_whole_slide_is_not_read_as_one_picture(tmp_path: Path):
    path, slides = _on_a_slide(tmp_path, 160, 120)
    data = read_dataset(path, slides=slides, settings=Settings(max_pixels=19_199))
    with pytest.raises(LimitError, match=r"160 x 120 pixels are more .*max_pixels.*dataset windows"):
        data.patch("s")
    assert len(data.instances_of("s")) == 0
    data.verify()
    assert read_dataset(path, slides=slides, settings=Settings(max_pixels=19_200)).patch("s").image.shape == (
        120,
        160,
        3,
    )


def test_an_area_that_leaves_its_slide_is_found(tmp_path: Path):
    path, slides = _on_a_slide(tmp_path, 200, 120)
    with pytest.raises(DatasetError, match="leaves its slide of 160 x 120"):
        read_dataset(path, slides=slides, settings=Settings(max_pixels=100)).verify()


def test_the_folder_of_slides_is_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path, slides = _on_a_slide(tmp_path, 160, 120)
    with pytest.raises(DatasetError, match=r"s\.tif is missing.*HISTOSEED_SLIDES_DIR"):
        read_dataset(path)
    monkeypatch.setenv("HISTOSEED_SLIDES_DIR", str(slides))
    assert read_dataset(path).patch("s").image.shape == (120, 160, 3)
    assert read_dataset(path, settings=Settings(slides_dir=str(slides))).slides == slides
