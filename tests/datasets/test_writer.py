"""Writing: what is written comes back, and a failure leaves nothing."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from histoseed.annotations import Instances
from histoseed.datasets import (
    INSTANCE_SCHEMA,
    PATCH_SCHEMA,
    DatasetInfo,
    DatasetWriter,
    named_classes,
    read_dataset,
    write_dataset,
)
from histoseed.errors import DatasetError, LimitError, OutputError
from histoseed.settings import Settings

CLASSES = ["tumour", "stroma"]
INFO = DatasetInfo(name="x", classes=named_classes(CLASSES), region_classes=named_classes(["gland", "fat"]))
IMAGE = np.full((10, 12, 3), 200, np.uint8)

_texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def _patches(draw: st.DrawFn) -> dict:
    shape = draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    labels = draw(hnp.arrays(np.int32, shape, elements=st.sampled_from([0, 0, 1, 2, 5, 70_000])))
    class_of = {label: draw(st.sampled_from([None, *CLASSES])) for label in (1, 2, 5, 70_000)}
    facts = {key: draw(_texts) for key in ("patient", "slide", "centre", "organ")}
    facts |= {
        "split": draw(st.sampled_from([None, "train", "val", "test"])),
        "fold": draw(st.none() | st.integers(0, 9)),
        "mpp": draw(st.none() | st.floats(0.05, 100)),
        "exhaustive": draw(st.booleans()),
        "x": draw(st.none() | st.floats(0, 1e6)),
        "y": draw(st.none() | st.floats(0, 1e6)),
    }
    return {
        "image": draw(hnp.arrays(np.uint8, (*shape, 3))),
        "labels": labels,
        "class_of": class_of,
        "ignore": draw(st.none() | hnp.arrays(bool, shape)),
        "regions": draw(st.none() | hnp.arrays(np.uint8, shape, elements=st.integers(0, 2))),
        "facts": facts,
    }


@settings(max_examples=20, deadline=None)
@given(st.lists(_patches(), min_size=1, max_size=3))
def test_pixels_labels_classes_and_facts_come_back(patches: list[dict]):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ds"
        with DatasetWriter(path, INFO) as writer:
            for i, p in enumerate(patches):
                masks = {"ignore": p["ignore"], "regions": p["regions"]}
                writer.add(f"p{i}", p["image"], p["labels"], class_of=p["class_of"], **masks, **p["facts"])
        dataset = read_dataset(path, verify=True)
        assert dataset.patches.schema == dict(PATCH_SCHEMA)
        assert dataset.instances.schema == dict(INSTANCE_SCHEMA)
        for read, p in zip(dataset, patches, strict=True):
            np.testing.assert_array_equal(read.image, p["image"])
            np.testing.assert_array_equal(read.labels, p["labels"])
            names = [None, *read.classes]
            assert {int(k): names[read.class_ids[k]] for k in read.label_ids} == {
                k: v for k, v in p["class_of"].items() if (p["labels"] == k).any()
            }
            if p["ignore"] is None or not p["ignore"].any():
                assert read.ignore is None
            else:
                np.testing.assert_array_equal(read.ignore, p["ignore"])
            if p["regions"] is None:
                assert read.regions is None
            else:
                np.testing.assert_array_equal(read.regions, p["regions"])
            assert {key: getattr(read, key) for key in p["facts"]} == p["facts"]


@settings(max_examples=40, deadline=None)
@given(hnp.arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 4)))
def test_boxes_areas_and_centroids_are_those_of_the_pixels(labels: np.ndarray):
    from histoseed.datasets.objects import measure_labels

    measured = measure_labels(labels)
    assert measured["label"].tolist() == sorted(set(labels.ravel().tolist()) - {0})
    for i, label in enumerate(measured["label"]):
        rows, columns = np.nonzero(labels == label)
        box = [measured[name][i] for name in ("x0", "y0", "x1", "y1")]
        assert box == [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert measured["area_px"][i] == len(rows)
        assert measured["centroid_x"][i] == pytest.approx(columns.mean() + 0.5)
        assert measured["centroid_y"][i] == pytest.approx(rows.mean() + 0.5)


def _outlines() -> Instances:
    return Instances.build(
        [
            shapely.box(1, 1, 6, 6),
            shapely.box(4, 4, 9, 9),
            shapely.box(5, 5, 8, 8),
            shapely.box(0, 0, 3, 3),
            shapely.Point(2, 3),
        ],
        class_name=["tumour", "tumour", None, "stroma", "stroma"],
        kind=["polygon", "polygon", "polygon", "box", "point"],
        score=[0.5, np.nan, 0.25, np.nan, np.nan],
        source="me",
        locked=[True, False, False, False, False],
        measurements=[{"a": 1.5}, {}, {}, {}, {}],
    )


def test_outlines_boxes_and_points_keep_kind_and_geometry(tmp_path: Path):
    given_objects = _outlines()
    with DatasetWriter(tmp_path / "ds", INFO) as writer:
        writer.add("p", IMAGE, given_objects)
    dataset = read_dataset(tmp_path / "ds", verify=True)
    read = dataset.instances_of("p")
    assert read.kind.tolist() == given_objects.kind.tolist()
    assert shapely.equals_identical(read.geometry, given_objects.geometry).all()
    for column in ("id", "class_name", "source", "locked", "measurements"):
        assert getattr(read, column).tolist() == getattr(given_objects, column).tolist()
    np.testing.assert_array_equal(read.score, given_objects.score)
    assert dataset.patch("p").label_ids.tolist() == [1, 2, 3]  # boxes and points are never drawn
    assert dataset.instances["label"].to_list() == [1, 2, 3, None, None]


def test_overlap_is_counted_and_said(tmp_path: Path):
    covered = Instances.build([shapely.box(2, 2, 4, 4), shapely.box(1, 1, 6, 6), shapely.box(5, 5, 8, 8)])
    with DatasetWriter(tmp_path / "ds", INFO) as writer:
        writer.add("p", IMAGE, covered)
        assert writer.losses == (4 + 1, 1)
    dataset = read_dataset(tmp_path / "ds")
    assert dataset.instances["label"].to_list() == [None, 2, 3]
    assert dataset.info.known_problems[0].startswith("Overlapping outlines were flattened")
    assert "5 pixels and 1 whole object of 1 patch are hidden" in dataset.info.known_problems[0]
    assert len(dataset.instances_of(0)) == 3


def test_objects_of_label_images_get_their_pixel_outline(tiny):
    objects = tiny.instances_of("a")
    assert shapely.area(objects.geometry).tolist() == [36, 18, 50]
    assert objects.class_name.tolist() == ["tumour", "stroma", None]


def test_the_same_input_gives_the_same_bytes(tmp_path: Path):
    for name in ("one", "two"):
        with DatasetWriter(tmp_path / name, INFO) as writer:
            labels = np.arange(120).reshape(10, 12) // 30
            writer.add("p", IMAGE, labels, ignore=labels > 2, probabilities=np.full((3, 2), 0.5))
    files = sorted(p.relative_to(tmp_path / "one") for p in (tmp_path / "one").rglob("*") if p.is_file())
    assert len(files) == 7
    for file in files:
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_group_is_the_patient_else_the_slide_else_the_centre(tmp_path: Path):
    with DatasetWriter(tmp_path / "ds", INFO) as writer:
        writer.add("a", IMAGE, patient="p", slide="s", centre="c")
        writer.add("b", IMAGE, slide="s", centre="c")
        writer.add("c", IMAGE, centre="c")
        writer.add("d", IMAGE)
        writer.add("e", IMAGE, patient="p", group="own")
    assert read_dataset(tmp_path / "ds").patches["group"].to_list() == ["p", "s", "c", None, "own"]


def test_probabilities_come_back_beside_their_objects(tmp_path: Path):
    values = np.array([[0.25, 0.75], [1.0, 0.0]], np.float32)
    with DatasetWriter(tmp_path / "ds", INFO) as writer:
        writer.add("p", IMAGE, np.repeat([[0, 3, 8]], [2, 5, 5], axis=1).repeat(10, axis=0), probabilities=values)
        writer.add("q", IMAGE)
    dataset = read_dataset(tmp_path / "ds", verify=True)
    np.testing.assert_array_equal(dataset.probabilities("p"), values)
    assert dataset.probabilities("q") is None


def test_patches_are_copied_with_everything(tiny, tmp_path: Path):
    write_dataset(tmp_path / "copy", tiny.info, tiny)
    copy = read_dataset(tmp_path / "copy", verify=True)
    assert copy.patches.equals(tiny.patches)
    assert copy.instances.equals(tiny.instances)


def test_classes_found_on_the_way_are_appended_sorted(tmp_path: Path):
    objects = Instances.build(
        [shapely.box(0, 0, 2, 2), shapely.box(4, 4, 6, 6)], class_name=["z", "b"], colors={"b": "#010203"}
    )
    with DatasetWriter(tmp_path / "ds", INFO, open_classes=True) as writer:
        writer.add("p", IMAGE, objects)
    classes = read_dataset(tmp_path / "ds").classes
    assert [c.name for c in classes] == ["tumour", "stroma", "b", "z"]
    assert classes[2].color == "#010203"


_LABELS = np.zeros((10, 12), np.int32)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"patch_id": "../p"}, "patch id"),
        ({"patch_id": ".p"}, "patch id"),
        ({"patch_id": ""}, "patch id"),
        ({"patch_id": "a/b"}, "patch id"),
        ({"patch_id": "\udcff"}, "patch id"),
        ({"patch_id": "First"}, "used before"),
        ({"image": IMAGE[..., 0]}, "not uint8"),
        ({"image": IMAGE.astype(np.uint16)}, "not uint8"),
        ({"objects": _LABELS[:5]}, "12 x 5"),
        ({"objects": _LABELS.astype(float)}, "float64"),
        ({"objects": _LABELS - 1}, "negative"),
        ({"objects": _LABELS + 1, "class_of": {1: "tumor"}}, "'tumour'"),
        ({"regions": np.full((10, 12), 3, np.uint8)}, "2 region classes"),
        ({"regions": np.zeros((3, 3), np.uint8)}, "regions is"),
        ({"ignore": _LABELS}, "not bool"),
        ({"mpp": 1000.0}, "microns per pixel"),
        ({"mpp": float("nan")}, "microns per pixel"),
        ({"split": "validation"}, "'validation'"),
        ({"objects": _LABELS + 1, "probabilities": np.zeros((1, 3))}, "(1, 2)"),
    ],
)
def test_what_breaks_the_format_is_refused_and_leaves_nothing(tmp_path: Path, arguments: dict, word: str):
    def attempt() -> None:
        with DatasetWriter(tmp_path / "ds", INFO) as writer:
            writer.add("first", IMAGE)
            writer.add(**({"patch_id": "p", "image": IMAGE} | arguments))

    with pytest.raises(DatasetError) as caught:
        attempt()
    assert word in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_label_above_the_limit_is_refused(tmp_path: Path):
    limits = Settings(max_objects=100)
    with (
        pytest.raises(LimitError, match="max_objects"),
        DatasetWriter(tmp_path / "ds", INFO, settings=limits) as writer,
    ):
        writer.add("p", IMAGE, _LABELS + 101)


def test_a_data_set_without_a_patch_is_refused(tmp_path: Path):
    with pytest.raises(DatasetError, match="no patch"), DatasetWriter(tmp_path / "ds", INFO):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["images", "masks", "."])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str):
    write = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.parent.name == folder or (folder == "." and self.name.startswith(".dataset.json")):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="disk is full"), DatasetWriter(tmp_path / "ds", INFO) as writer:
        writer.add("p", IMAGE, _LABELS + 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interruption_leaves_the_target_as_it_was(tmp_path: Path, error: type[BaseException]):
    with DatasetWriter(tmp_path / "ds", INFO) as writer:
        writer.add("old", IMAGE)

    def interrupted() -> None:
        with DatasetWriter(tmp_path / "ds", INFO, overwrite=True) as writer:
            for i in range(3):
                writer.add(f"new{i}", IMAGE, _LABELS + 1)
            raise error

    with pytest.raises(error):
        interrupted()
    assert [p.name for p in tmp_path.iterdir()] == ["ds"]
    assert read_dataset(tmp_path / "ds", verify=True).patch_ids == ["old"]


def test_a_non_empty_target_is_only_replaced_when_told(tmp_path: Path):
    target = tmp_path / "ds"
    target.mkdir()
    (target / "mine.txt").write_text("keep")
    with pytest.raises(OutputError, match="--overwrite"), DatasetWriter(target, INFO) as writer:
        writer.add("p", IMAGE)
    assert (target / "mine.txt").read_text() == "keep"
    with DatasetWriter(target, INFO, overwrite=True) as writer:
        writer.add("p", IMAGE)
    assert not (target / "mine.txt").exists()


def test_objects_go_to_the_disk_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("histoseed.datasets.writer._ROWS_HELD", 5)
    labels = np.arange(120, dtype=np.int32).reshape(10, 12)
    with DatasetWriter(tmp_path / "ds", INFO) as writer:
        for name in "abc":
            writer.add(name, IMAGE, labels % 8)
            assert not writer._held
    dataset = read_dataset(tmp_path / "ds", verify=True)
    assert dataset.instances.group_by("patch_id").len().sort("patch_id")["len"].to_list() == [7, 7, 7]


def test_a_misspelt_fact_is_a_programming_error(tmp_path: Path):
    with pytest.raises(TypeError, match="organn"), DatasetWriter(tmp_path / "ds", INFO) as writer:
        writer.add("p", IMAGE, organn="breast")


def test_ignore_outlines_are_drawn_and_kept(tmp_path: Path):
    with DatasetWriter(tmp_path / "ds", INFO) as writer:
        writer.add(
            "p", IMAGE, _LABELS, ignore_outlines=Instances.build([shapely.box(0, 0, 3, 2)], class_name="Ignore*")
        )
    dataset = read_dataset(tmp_path / "ds", verify=True)
    assert int(dataset.patch(0).ignore.sum()) == 6
    assert dataset.instances.select("layer", "class_name").rows() == [("ignore", "Ignore*")]
    assert len(dataset.instances_of(0)) == 0
    assert pl.read_parquet(tmp_path / "ds" / "instances.parquet").height == 1


def test_an_id_stands_on_one_object_of_all_layers(tmp_path: Path):
    outline = Instances.build([shapely.box(1, 1, 5, 5)])
    with pytest.raises(DatasetError, match="Two objects have the id"), DatasetWriter(tmp_path / "ds", INFO) as writer:
        writer.add("a", np.zeros((24, 32, 3), np.uint8), outline, ignore_outlines=outline)
    assert not (tmp_path / "ds").exists()


def test_outlines_of_regions_are_kept_as_objects(tmp_path: Path):
    info = DatasetInfo(name="r", region_classes=named_classes(["tumour"]))
    with DatasetWriter(tmp_path / "ds", info) as writer:
        outline = Instances.build([shapely.box(1, 1, 5, 5)], class_name="tumour")
        writer.add("a", np.zeros((24, 32, 3), np.uint8), region_outlines=outline)
    row = read_dataset(tmp_path / "ds", verify=True).instances.row(0, named=True)
    assert (row["layer"], row["class_name"], row["label"]) == ("region", "tumour", None)
