"""Import of folders of pictures and label images."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from histoseed.datasets import import_dataset, import_labels, read_dataset
from histoseed.errors import AnnotationError, DatasetError, HistoseedError, InputError, OutputError, SlideError

CLASSES = {"1": "tumour", "2": "stroma", "7": "lymphocyte"}


def _labels(seed: int) -> np.ndarray:
    labels = np.zeros((20, 30), np.uint16)
    labels[2:6, 2:8] = 1 + seed
    labels[10:16, 12:20] = 2 + seed
    return labels


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two pictures, one PNG and one TIFF, with labels and types."""
    folder = tmp_path / "source"
    for part in ("images", "labels", "types"):
        (folder / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for i, name in enumerate(["one", "two.b"]):
        image = rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)
        if i:
            tifffile.imwrite(folder / "images" / f"{name}.tif", image, photometric="rgb")
        else:
            Image.fromarray(image).save(folder / "images" / f"{name}.png")
        Image.fromarray(_labels(i)).save(folder / "labels" / f"{name}.png")
        types = np.where(_labels(i) == 1 + i, 1, 0) + np.where(_labels(i) == 2 + i, 7, 0)
        tifffile.imwrite(folder / "types" / f"{name}.tif", types.astype(np.uint8))
    (folder / "classes.json").write_text(json.dumps(CLASSES))
    (folder / "groups.csv").write_text("patch_id,patient,centre,mpp,split\none,P1,,0.5,train\ntwo.b,P2,C2,,\n")
    (folder / "images" / ".DS_Store").write_bytes(b"x")
    return folder


def test_everything_arrives(source: Path, tmp_path: Path):
    dataset = import_labels(source, tmp_path / "ds", name="mine", licence="CC0-1.0")
    dataset.verify()
    assert (dataset.name, dataset.info.licence, dataset.patch_ids) == ("mine", "CC0-1.0", ["one", "two.b"])
    one, two = dataset
    np.testing.assert_array_equal(one.image, np.asarray(Image.open(source / "images" / "one.png")))
    np.testing.assert_array_equal(two.image, tifffile.imread(source / "images" / "two.b.tif"))
    np.testing.assert_array_equal(one.labels, _labels(0))
    np.testing.assert_array_equal(two.labels, _labels(1))
    assert one.classes == ("tumour", "stroma", "lymphocyte")
    assert one.class_ids.tolist() == [0, 1, 3]
    assert two.class_ids.tolist() == [0, 0, 1, 3]  # numbers that skip are kept
    assert (one.mpp, one.mpp_source, one.patient, one.group, one.centre, one.split) == (
        0.5,
        "user",
        "P1",
        "P1",
        None,
        "train",
    )
    assert (two.mpp, two.mpp_source, two.centre, two.split) == (None, "unknown", "C2", None)
    assert any("numbers skip" in note and "two.b" in note for note in dataset.info.notes)
    assert json.loads((tmp_path / "ds" / "dataset.json").read_text())["format_version"] == 1


def test_the_same_source_gives_the_same_tables(source: Path, tmp_path: Path):
    one, two = (import_labels(source, tmp_path / name) for name in ("a", "b"))
    assert one.instances.equals(two.instances)
    assert one.patches.equals(two.patches)


def test_unknown_mpp_stays_unknown(source: Path, tmp_path: Path):
    (source / "groups.csv").unlink()
    dataset = import_labels(source, tmp_path / "ds")
    assert dataset.patches["mpp"].to_list() == [None, None]
    assert dataset.patches["mpp_source"].to_list() == ["unknown", "unknown"]
    assert dataset.patches["group"].to_list() == [None, None]


def test_the_class_is_the_vote_of_the_pixels(source: Path, tmp_path: Path):
    labels = np.zeros((20, 30), np.uint16)
    types = np.zeros((20, 30), np.uint8)
    labels[0, 0:5], types[0, 0:5] = 1, [2, 2, 2, 1, 0]  # most
    labels[2, 0:4], types[2, 0:4] = 2, [7, 7, 2, 2]  # a tie: the smaller number
    labels[4, 0:4], types[4, 0:4] = 3, [0, 0, 0, 7]  # no class does not vote
    labels[6, 0:4] = 4  # nobody votes
    types[8, 0:4] = 1  # outside every object
    Image.fromarray(labels).save(source / "labels" / "one.png")
    tifffile.imwrite(source / "types" / "one.tif", types)
    dataset = import_labels(source, tmp_path / "ds")
    assert dataset.objects("one")["class_name"].to_list() == ["stroma", "stroma", "lymphocyte", None]
    problems = " ".join(dataset.info.known_problems)
    assert "2 objects hold pixels of several classes" in problems
    assert "1 object holds as many pixels of two classes" in problems
    assert "1 object holds no pixel of a class" in problems


def test_detached_parts_stay_one_object(source: Path, tmp_path: Path):
    labels = _labels(0)
    labels[18, 28] = 1
    Image.fromarray(labels).save(source / "labels" / "one.png")
    dataset = import_labels(source, tmp_path / "ds")
    assert dataset.objects("one").height == 2
    assert any("detached parts, 1 part more" in text for text in dataset.info.known_problems)


def test_huge_numbers_are_renumbered_and_said(source: Path, tmp_path: Path):
    labels = np.where(_labels(0) > 0, _labels(0).astype(np.uint32) * 2_000_000_000, 0).astype(np.uint32)
    (source / "labels" / "one.png").unlink()
    tifffile.imwrite(source / "labels" / "one.tif", labels)
    dataset = import_labels(source, tmp_path / "ds")
    np.testing.assert_array_equal(dataset.patch("one").labels, _labels(0))
    assert any("replaced by 1, 2, 3" in note for note in dataset.info.notes)


@pytest.mark.parametrize("mode", ["L", "RGBA", "I;16", "P", "CMYK"])
def test_other_kinds_of_pictures_are_converted_and_said(source: Path, tmp_path: Path, mode: str):
    (source / "images" / "one.png").unlink()
    grey = np.random.default_rng(0).integers(0, 60_000, (20, 30)).astype(np.uint16)
    if mode == "I;16":
        Image.fromarray(grey).save(source / "images" / "one.png")
    elif mode == "CMYK":
        Image.new("CMYK", (30, 20), (10, 20, 30, 40)).save(source / "images" / "one.jpg")
    else:
        Image.fromarray((grey >> 8).astype(np.uint8)).convert(mode).save(source / "images" / "one.png")
    dataset = import_labels(source, tmp_path / "ds")
    assert dataset.patch("one").image.shape == (20, 30, 3)
    assert any("one" in note for note in dataset.info.notes)


def _write(path: Path, text: str) -> None:
    path.write_text(text)


_FAULTS: list[tuple[str, Callable[[Path], object], type[HistoseedError], str]] = [
    ("no images", lambda s: (s / "images").rename(s / "pictures"), DatasetError, "no folder images/"),
    ("no label", lambda s: (s / "labels" / "one.png").unlink(), DatasetError, "1 image of 2 has no label: one"),
    ("no image", lambda s: (s / "images" / "one.png").unlink(), DatasetError, "a label without an image: one"),
    ("no type", lambda s: (s / "types" / "one.tif").unlink(), DatasetError, "has no type image: one"),
    ("stem twice", lambda s: (s / "images" / "one.gif").write_bytes(b"x"), DatasetError, "same stem"),
    ("size", lambda s: Image.new("I;16", (30, 19)).save(s / "labels" / "one.png"), DatasetError, "30 x 19 pixels"),
    (
        "type size",
        lambda s: tifffile.imwrite(s / "types" / "one.tif", np.zeros((9, 9), np.uint8)),
        DatasetError,
        "9 x 9",
    ),
    (
        "fractions",
        lambda s: tifffile.imwrite(s / "labels" / "two.b.png", np.full((20, 30), 0.5)),
        AnnotationError,
        "two.b",
    ),
    ("colour", lambda s: Image.new("RGB", (30, 20), "red").save(s / "labels" / "one.png"), AnnotationError, "one.png"),
    ("no picture", lambda s: (s / "images" / "one.png").write_bytes(b"text"), SlideError, "one.png"),
    ("zero bytes", lambda s: (s / "images" / "one.png").write_bytes(b""), SlideError, "one.png"),
    ("no names", lambda s: (s / "classes.json").unlink(), DatasetError, "needs a classes.json"),
    ("no name", lambda s: _write(s / "classes.json", '{"1": "tumour"}'), DatasetError, "Class number 7 has no name"),
    ("json", lambda s: _write(s / "classes.json", '{"1": '), DatasetError, "classes.json"),
    ("json list", lambda s: _write(s / "classes.json", "[1]"), DatasetError, "one object"),
    ("class 0", lambda s: _write(s / "classes.json", '{"0": "a"}'), DatasetError, "'0' is not a class number"),
    ("class 01", lambda s: _write(s / "classes.json", '{"01": "a"}'), DatasetError, "'01' is not a class number"),
    ("class text", lambda s: _write(s / "classes.json", '{"1": 5}'), DatasetError, "name of class 1"),
    ("name twice", lambda s: _write(s / "classes.json", '{"1": "a", "7": "a"}'), DatasetError, "'a' stands twice"),
    ("number twice", lambda s: _write(s / "classes.json", '{"1": "a", "1": "b"}'), DatasetError, "stands twice"),
    ("column", lambda s: _write(s / "groups.csv", "patch_id,pateint\n"), DatasetError, "'patient'"),
    ("no id", lambda s: _write(s / "groups.csv", "patient\np\n"), DatasetError, "patch_id"),
    ("empty csv", lambda s: _write(s / "groups.csv", ""), DatasetError, "patch_id"),
    (
        "row",
        lambda s: _write(s / "groups.csv", "patch_id\none\ntwo\n"),
        DatasetError,
        "line 3: There is no image 'two'",
    ),
    ("no row", lambda s: _write(s / "groups.csv", "patch_id\none\n"), DatasetError, "1 image has no line: two.b"),
    ("row twice", lambda s: _write(s / "groups.csv", "patch_id\none\none\n"), DatasetError, "earlier line"),
    ("fields", lambda s: _write(s / "groups.csv", "patch_id,slide\none\n"), DatasetError, "line 2"),
    ("mpp", lambda s: _write(s / "groups.csv", "patch_id,mpp\none,0.25 um\n"), DatasetError, "'0.25 um'"),
    ("mpp nan", lambda s: _write(s / "groups.csv", "patch_id,mpp\none,nan\n"), DatasetError, "'nan'"),
    ("split", lambda s: _write(s / "groups.csv", "patch_id,split\none,tarin\n"), DatasetError, "'train'"),
    ("encoding", lambda s: (s / "groups.csv").write_bytes(b"patch_id\n\xff\n"), DatasetError, "CSV"),
]


@pytest.mark.parametrize(("change", "error", "word"), [f[1:] for f in _FAULTS], ids=[f[0] for f in _FAULTS])
def test_a_mismatch_names_the_stems_and_leaves_nothing(
    source: Path, tmp_path: Path, change: Callable[[Path], object], error: type[HistoseedError], word: str
):
    change(source)
    with pytest.raises(error) as caught:
        import_labels(source, tmp_path / "ds")
    assert word in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["source"]


def test_an_mpp_that_cannot_be_is_refused(source: Path, tmp_path: Path):
    with pytest.raises(InputError, match="mpp"):
        import_labels(source, tmp_path / "ds", mpp=0.0)


def test_nothing_is_overwritten_unless_told(source: Path, tmp_path: Path):
    import_labels(source, tmp_path / "ds", name="old")
    with pytest.raises(OutputError, match="--overwrite"):
        import_labels(source, tmp_path / "ds", name="new")
    assert read_dataset(tmp_path / "ds").name == "old"
    assert import_labels(source, tmp_path / "ds", name="new", overwrite=True).name == "new"


@pytest.mark.parametrize(
    ("arguments", "options", "word"),
    [
        (("label", "x", "y"), {}, "Did you mean 'labels'?"),
        (("labels", "x", "y"), {"mmp": 1.0}, "Did you mean 'mpp'?"),
        (("labels", ["x", "z"], "y"), {}, "reads source; 2 were given"),
        (("geojson", "x", "y"), {}, "There is no GeoJSON"),
    ],
)
def test_the_registry_answers_a_wrong_name(arguments: tuple, options: dict, word: str):
    with pytest.raises(InputError) as caught:
        import_dataset(*arguments, **options)
    assert word in str(caught.value)


def test_the_registry_runs_an_importer(source: Path, tmp_path: Path):
    assert len(import_dataset("labels", source, tmp_path / "ds", mpp=0.5)) == 2


def test_the_name_of_the_data_set_is_an_option_too(source, tmp_path):
    assert import_dataset("labels", source, tmp_path / "named", mpp=0.5, name="mine").name == "mine"
