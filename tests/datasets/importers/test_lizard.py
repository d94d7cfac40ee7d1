"""Lizard: classes joined by id, folds, cohorts; MATLAB files that are damaged, too large or of another version."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io

from fixtures.lizard import TILES, inst_map, mat_content, picture, write_lizard
from histoseed.datasets.importers import import_dataset
from histoseed.datasets.importers.lizard import CARD, collect
from histoseed.datasets.intake.arrays import csv_rows, plane, read_mat, whole_numbers
from histoseed.datasets.intake.content import Collection, PatchContent
from histoseed.errors import DatasetError, HistoseedError, LimitError
from histoseed.settings import Settings

SETTINGS = Settings()

CLASSES = ("Neutrophil", "Epithelial", "Lymphocyte", "Plasma", "Eosinophil", "Connective")  # specification 1, 1..6


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_lizard(tmp_path / "lizard")


def _labels(source: Path) -> Path:
    return source / "lizard_labels" / "Lizard_Labels"


def _mat(source: Path, name: str) -> Path:
    return _labels(source) / "Labels" / f"{name}.mat"


def _read(collection: Collection, name: str) -> PatchContent:
    return next(item for item in collection.items if item.patch_id == name).read()


def test_every_image_arrives_with_its_facts(source: Path):
    collection = collect(source, settings=SETTINGS)
    assert [item.patch_id for item in collection.items] == sorted(tile.name for tile in TILES)
    assert [c.name for c in collection.info.classes] == list(CLASSES)
    assert (collection.info.stain, collection.info.licence) == ("H&E", "CC-BY-NC-SA-4.0")
    for item in collection.items:
        tile = next(tile for tile in TILES if tile.name == item.patch_id)
        assert item.facts == {
            "mpp": 0.5,  # specification 1, resolution
            "mpp_source": "metadata",
            "group": tile.name,
            "centre": tile.name.partition("_")[0],
            "fold": tile.fold,
        }
        np.testing.assert_array_equal(item.read().image, picture(tile.name))


def test_classes_are_joined_on_the_id(source: Path):
    collection = collect(source, settings=SETTINGS)
    for tile in TILES:
        content = _read(collection, tile.name)
        assert content.class_of == {number: CLASSES[code - 1] for number, code in tile.classes.items()}
        np.testing.assert_array_equal(content.objects, inst_map(list(tile.classes)))
        assert not content.remarks


def test_one_nucleus_and_none(source: Path):
    collection = collect(source, settings=SETTINGS)
    assert _read(collection, "dpath_3").class_of == {4: "Epithelial"}
    empty = _read(collection, "glas_2")
    assert empty.class_of == {}
    assert not np.asarray(empty.objects).any()


def test_list_and_map_that_disagree(source: Path):
    content = mat_content({1: 2, 2: 4})
    content["inst_map"] = inst_map([1, 3])
    scipy.io.savemat(_mat(source, "crag_10"), content)
    read = _read(collect(source, settings=SETTINGS), "crag_10")
    assert read.class_of == {1: "Epithelial", 3: None}
    assert [(remark.count, remark.kind) for remark in read.remarks] == [(1, "problem"), (1, "problem")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"class": np.array([[7], [1]])}, "7"),  # a code that has no class
        ({"class": np.array([[1]])}, "2 rows"),
        ({"id": np.array([[1], [1]]), "class": np.array([[1], [2]])}, "twice"),
        ({"inst_map": np.full((24, 36), 0.5)}, "0.5"),
        ({"inst_map": np.full((24, 36), -1)}, "-1"),
        ({"inst_map": np.full((24, 36), np.nan)}, "nan"),
        ({"inst_map": np.zeros((24, 35))}, "24 x 35"),
        ({"inst_map": np.zeros((24, 36), complex)}, "complex"),
        ({"inst_map": np.array(["text"], object)}, "cell"),
        ({"inst_map": None}, "inst_map"),
        ({"id": None}, "'id'"),
    ],
)
def test_wrong_label_files(source: Path, change: dict[str, np.ndarray | None], words: str):
    content = mat_content({1: 2, 2: 4}) | change
    path = _mat(source, "crag_10")
    scipy.io.savemat(path, {key: value for key, value in content.items() if value is not None})
    with pytest.raises(DatasetError, match=words) as caught:
        _read(collect(source, settings=SETTINGS), "crag_10")
    assert str(path) in str(caught.value)


def test_matlab_7_3_is_told_apart(source: Path):
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    _mat(source, "crag_10").write_bytes(head.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n" + bytes(64))
    with pytest.raises(DatasetError, match=r"7\.3") as caught:
        _read(collect(source, settings=SETTINGS), "crag_10")
    assert "-v7" in str(caught.value.fix)


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "flip"])
def test_damaged_label_files(source: Path, damage: str):
    path = _mat(source, "crag_10")
    data = path.read_bytes()
    flipped = bytearray(data)
    flipped[200:220] = bytes(20)
    path.write_bytes(
        {"cut": data[: len(data) // 2], "empty": b"", "text": b"no MATLAB", "flip": bytes(flipped)}[damage]
    )
    with pytest.raises(DatasetError, match=r"crag_10\.mat"):
        _read(collect(source, settings=SETTINGS), "crag_10")


def test_every_cut_and_many_flips_of_a_label_file_end_in_our_error(tmp_path: Path):
    path = tmp_path / "a.mat"
    scipy.io.savemat(path, mat_content({1: 2, 2: 4}), do_compression=True)
    data = path.read_bytes()
    rng = np.random.default_rng(0)
    broken = [data[:k] for k in range(0, len(data), 7)]
    for _ in range(300):
        flipped = bytearray(data)
        flipped[rng.integers(0, len(data))] ^= 1 << rng.integers(0, 8)
        broken.append(bytes(flipped))
    refused = 0
    for content in broken:
        path.write_bytes(content)
        try:
            read_mat(path, ("inst_map", "id", "class"), SETTINGS)
        except HistoseedError as error:
            refused += str(path) in str(error)
    assert refused > len(broken) // 2


def test_an_array_that_unpacks_too_large_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "bomb.mat"
    scipy.io.savemat(path, {"inst_map": np.zeros((2000, 2000))}, do_compression=True)
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(scipy.io, "loadmat", lambda *_, **__: pytest.fail("it was unpacked"))
    with pytest.raises(LimitError, match="MAX_PIXELS"):
        read_mat(path, ("inst_map",), Settings(max_pixels=1_000_000))


def test_a_variable_that_stands_twice_is_refused(tmp_path: Path):
    path = tmp_path / "twice.mat"
    scipy.io.savemat(path, {"inst_map": np.zeros((2, 2))})
    data = path.read_bytes()
    path.write_bytes(data + data[128:])  # the header has 128 bytes
    with pytest.raises(DatasetError, match="2 times"):
        read_mat(path, ("inst_map",), SETTINGS)


def test_partners_that_are_missing_are_named_at_once(source: Path):
    _mat(source, "glas_2").unlink()
    _mat(source, "crag_10").unlink()
    with pytest.raises(DatasetError, match=r"crag_10, glas_2"):
        collect(source, settings=SETTINGS)


def test_an_image_that_is_missing(source: Path):
    (source / "lizard_images2" / "Lizard_Images2" / "glas_2.png").unlink()
    with pytest.raises(DatasetError, match="No image for glas_2"):
        collect(source, settings=SETTINGS)


def test_either_folder_may_hold_an_image_but_not_both(source: Path):
    one, two = (source / f"lizard_images{k}" / f"Lizard_Images{k}" for k in (1, 2))
    (two / "glas_2.png").rename(one / "glas_2.png")
    assert len(collect(source, settings=SETTINGS).items) == len(TILES)
    (two / "crag_10.png").write_bytes((one / "crag_10.png").read_bytes())
    with pytest.raises(DatasetError, match="crag_10 is in both"):
        collect(source, settings=SETTINGS)


def test_the_outer_folders_may_be_missing(source: Path):
    for name in ("lizard_images1/Lizard_Images1", "lizard_images2/Lizard_Images2", "lizard_labels/Lizard_Labels"):
        (source / name).rename(source / Path(name).name)
    assert len(collect(source, settings=SETTINGS).items) == len(TILES)


def test_an_empty_folder_says_what_was_looked_for(tmp_path: Path):
    with pytest.raises(DatasetError, match="Lizard_Images1"):
        collect(tmp_path, settings=SETTINGS)
    with pytest.raises(DatasetError, match="no such folder"):
        collect(tmp_path / "absent", settings=SETTINGS)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("crag_10,crag,2", "crag_10,crag,4", "'4'"),
        ("crag_10,crag,2\n", "", "no line for crag_10"),
        ("crag_10,crag,2", "crag_10,crag,2\nglas_99,glas,1", "no image of the name glas_99"),
        ("crag_10,crag,2", "crag_10,crag,2\ncrag_10,crag,2", "two lines"),
        ("crag_10,crag,2", "crag_10,2", "2 fields"),
        ("Filename,Source,Split", "Filename,Source,Set", "'Split'"),
        ("Filename,Source,Split\n", "\xff", "info.csv"),
    ],
)
def test_a_table_that_does_not_fit(source: Path, old: str, new: str, words: str):
    path = _labels(source) / "info.csv"
    path.write_bytes(path.read_text().replace(old, new).encode("latin-1"))
    with pytest.raises(DatasetError, match=words):
        collect(source, settings=SETTINGS)


def test_a_table_is_needed_and_limited(source: Path):
    path = _labels(source) / "info.csv"
    with pytest.raises(LimitError, match="MAX_GEOJSON_BYTES"):
        csv_rows(path, ("Filename",), Settings(max_geojson_bytes=10))
    path.unlink()
    with pytest.raises(DatasetError, match=r"info\.csv"):
        collect(source, settings=SETTINGS)


def test_an_unknown_cohort_is_refused(source: Path):
    for path in source.rglob("glas_2.*"):
        path.rename(path.with_name(path.name.replace("glas", "tcga")))
    info = _labels(source) / "info.csv"
    info.write_text(info.read_text().replace("glas_2", "tcga_2"))
    with pytest.raises(DatasetError, match=r"tcga_2\.png"):
        collect(source, settings=SETTINGS)


def test_a_damaged_image_names_its_file(source: Path):
    path = source / "lizard_images1" / "Lizard_Images1" / "crag_10.png"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(HistoseedError, match=r"crag_10\.png"):
        _read(collect(source, settings=SETTINGS), "crag_10")


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.int64, np.uint64, np.float32, np.float64])
def test_whole_numbers_of_any_type(dtype: type):
    values = np.array([[0, 1], [7, 100]], dtype)
    found = whole_numbers(values, "x", "here")
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, [[0, 1], [7, 100]])


@pytest.mark.parametrize(
    "values",
    [
        np.array([2**31], np.uint32),
        np.array([2**32 + 5], np.int64),  # would wrap to 5
        np.array([2**64 - 1], np.uint64),  # would wrap to -1
        np.array([-3], np.int8),
        np.array([1e300]),
        np.array([np.inf]),
        np.array([0.25], np.float16),
        np.array(["1"]),
        np.array([None]),
        np.array([1j]),
    ],
)
def test_numbers_that_do_not_fit(values: np.ndarray):
    with pytest.raises(DatasetError, match="here"):
        whole_numbers(values, "x", "here")


def test_the_largest_number_that_is_asked_for():
    assert whole_numbers(np.array([255.0]), "x", "here", most=255)[0] == 255
    with pytest.raises(DatasetError, match="256"):
        whole_numbers(np.array([3, 256]), "x", "here", most=255)


def test_a_plane_has_the_size_of_its_picture():
    assert plane(np.ones((2, 3)), (2, 3, 3), "x", "here").shape == (2, 3)
    with pytest.raises(DatasetError, match="3 x 2"):
        plane(np.ones((3, 2)), (2, 3, 3), "x", "here")


def test_published_totals():
    totals = {(t.measure, *t.where.values()): t.value for t in CARD.totals}
    assert totals["patches",] == 238  # specification 1, counts
    assert totals["objects",] == 431_913  # specification 1, counts
    cohorts = {"consep": 16, "crag": 64, "dpath": 69, "glas": 61, "pannuke": 28}  # specification 1, counts
    assert {name: totals["patches", name] for name in cohorts} == cohorts
    assert sum(cohorts.values()) == 238
    counts = (4_116, 210_372, 92_238, 24_861, 2_979, 97_347)  # specification 1, counts, in the order of the codes
    by_code = dict(zip(CLASSES, counts, strict=True))
    assert {name: totals["objects", name] for name in CLASSES} == by_code
    assert sum(by_code.values()) == 431_913


def test_round_trip(source: Path, tmp_path: Path):
    dataset = import_dataset("lizard", source, tmp_path / "out", workers=2)
    dataset.verify()
    assert dataset.patch_ids == sorted(tile.name for tile in TILES)
    one = dataset.patch("consep_1")
    assert (one.mpp, one.mpp_source, one.group, one.centre, one.fold, one.split) == (
        *(0.5, "metadata", "consep_1", "consep"),
        *(1, None),
    )
    np.testing.assert_array_equal(one.labels, inst_map([2, 5, 9]))
    named = {int(k): one.classes[one.class_ids[k] - 1] for k in one.label_ids}
    assert named == {2: "Neutrophil", 5: "Lymphocyte", 9: "Connective"}
    np.testing.assert_array_equal(one.image, picture("consep_1"))
