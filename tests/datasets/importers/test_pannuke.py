"""PanNuke: both editions, overlapping channels, numbers of any real type, folds that are not what they are called."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import measure

from fixtures import pannuke as pannuke_fixture
from fixtures.pannuke import (
    CLASS_NAMES,
    SIDE,
    TISSUES,
    images,
    masks,
    png,
    rows,
    schema,
    write_fold,
    write_pannuke,
    write_pannuke_parquet,
    write_table,
)
from histoseed.datasets.importers import import_dataset
from histoseed.datasets.importers.pannuke import CARD, collect, fuse_channels
from histoseed.datasets.intake.content import Collection
from histoseed.datasets.intake.objects import fuse_masks
from histoseed.errors import DatasetError, HistoseedError, LimitError
from histoseed.settings import Settings

SETTINGS = Settings()

CLASSES = ["Neoplastic", "Inflammatory", "Connective", "Dead", "Epithelial"]  # specification 3.1, channels 0..4

WRITERS = pytest.mark.parametrize("write", [write_pannuke, write_pannuke_parquet], ids=["numpy", "parquet"])


@pytest.fixture
def folds(tmp_path: Path) -> Path:
    write_pannuke(tmp_path / "pannuke", folds=(1, 2))
    return tmp_path / "pannuke"


@pytest.fixture
def shards(tmp_path: Path) -> Path:
    write_pannuke_parquet(tmp_path / "parquet", folds=(1, 2))
    return tmp_path / "parquet"


def _by_id(collection: Collection) -> dict[str, Any]:
    return {item.patch_id: item for item in collection.items}


@WRITERS
def test_every_image_arrives_with_its_facts(tmp_path: Path, write: Callable[[Path], None]):
    write(tmp_path)
    collection = collect(tmp_path, settings=SETTINGS)
    assert [c.name for c in collection.info.classes] == CLASSES
    assert [item.patch_id for item in collection.items] == [f"fold{k}-000{i}" for k in (1, 2, 3) for i in range(4)]
    assert list(collection.remarks) == []
    for number, item in enumerate(collection.items):
        fold, i = number // 4 + 1, number % 4
        content = item.read()
        np.testing.assert_array_equal(content.image, images(fold)[i])
        assert item.facts | content.facts == {
            "mpp": 0.25,  # specification 3.1, resolution
            "mpp_source": "metadata",
            "group": f"fold {fold}",
            "fold": fold,
            "organ": ("Adrenal gland", "Bile duct", "Head and neck", "Uterus")[i],
        }


@WRITERS
def test_numbers_are_unique_within_a_channel_only(tmp_path: Path, write: Callable[[Path], None]):
    write(tmp_path)
    content = _by_id(collect(tmp_path, settings=SETTINGS))["fold1-0000"].read()
    assert content.class_of == {1: "Neoplastic", 2: "Neoplastic", 3: "Inflammatory", 4: "Epithelial"}
    expected = np.zeros((SIDE, SIDE), int)
    expected[2:8, 2:8], expected[2:8, 12:18], expected[6:12, 6:12], expected[20:30, 4:9] = 1, 2, 3, 4
    np.testing.assert_array_equal(content.objects, expected)
    assert (content.pixels_lost, content.objects_lost) == (4, 0)


@WRITERS
def test_a_nucleus_that_a_later_class_hides_is_counted(tmp_path: Path, write: Callable[[Path], None]):
    write(tmp_path)
    content = _by_id(collect(tmp_path, settings=SETTINGS))["fold1-0002"].read()
    assert content.class_of == {2: "Dead"}
    assert (content.pixels_lost, content.objects_lost) == (16, 1)
    assert np.count_nonzero(content.objects) == 64


@WRITERS
def test_empty_images_and_nuclei_of_two_parts_are_kept(tmp_path: Path, write: Callable[[Path], None]):
    write(tmp_path)
    items = _by_id(collect(tmp_path, settings=SETTINGS))
    empty, split = items["fold2-0001"].read(), items["fold2-0003"].read()
    assert (empty.class_of, empty.pixels_lost, bool(np.any(empty.objects))) == ({}, 0, False)
    assert split.class_of == {1: "Inflammatory"}
    assert np.count_nonzero(split.objects) == 32


@st.composite
def _channels(draw: st.DrawFn) -> np.ndarray:
    values = st.lists(st.integers(0, 4), min_size=60, max_size=60)
    return np.array(draw(values), np.int32).reshape(5, 3, 4) * draw(st.sampled_from([1, 7, 100_000]))


@settings(deadline=None)
@given(_channels())
def test_fusion_against_one_pixel_at_a_time(channels: np.ndarray):
    nuclei = [(c, int(n)) for c in range(5) for n in np.unique(channels[c]) if n]
    expected = np.zeros((3, 4), int)
    painted = 0
    for y, x in np.ndindex(3, 4):
        here = [(c, int(channels[c, y, x])) for c in range(5) if channels[c, y, x]]
        painted += len(here)
        expected[y, x] = nuclei.index(here[-1]) + 1 if here else 0
    fused = fuse_channels(channels)
    np.testing.assert_array_equal(fused.labels, expected)
    visible = sorted(set(expected.ravel().tolist()) - {0})
    assert fused.class_of == {label: CLASSES[nuclei[label - 1][0]] for label in visible}
    assert fused.pixels_lost == painted - np.count_nonzero(expected)
    assert fused.objects_lost == len(nuclei) - len(visible)
    assert fused.divided == sum(
        measure.label(expected == k, connectivity=2).max() > measure.label(channels[c] == n, connectivity=2).max()
        for k, (c, n) in enumerate(nuclei, start=1)
    )
    one_by_one = fuse_masks(((channels[c] == n, CLASSES[c]) for c, n in nuclei), (3, 4))
    np.testing.assert_array_equal(one_by_one.labels, fused.labels)
    assert (one_by_one.divided, one_by_one.class_of) == (fused.divided, fused.class_of)


@WRITERS
def test_nuclei_that_fall_into_parts_and_that_are_hidden_are_told(tmp_path: Path, write: Callable[[Path], None]):
    def across(*arguments: Any) -> np.ndarray:
        out = masks(*arguments)
        out[0, 2:8, 14:16, 4] = 77  # lies across the second nucleus of class 0
        out[0, 8:12, 6:8, 4] = 78  # takes a part of the one of class 1 and leaves it in one piece
        return out

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pannuke_fixture, "masks", across)
        write(tmp_path)
    data = import_dataset("pannuke", tmp_path, tmp_path / "ds")
    text = "3 objects fall into several parts where others lie on top; each stays one object (3 images: fold1-0000, "
    assert any(text in problem for problem in data.info.known_problems)
    assert any("3 whole objects of 6 patches are hidden" in problem for problem in data.info.known_problems)
    data.verify()


@pytest.mark.parametrize("name", ["Fold {}", "fold{}", "fold_{}/Fold {}", "download/fold{}"])
def test_folders_as_they_unpack(tmp_path: Path, name: str):
    for fold in (1, 2, 3):
        write_fold(tmp_path / name.replace("{}", str(fold)), fold)
    assert len(collect(tmp_path, settings=SETTINGS).items) == 12


def test_one_fold_alone(tmp_path: Path):
    write_pannuke(tmp_path, folds=(3,))
    for source in (tmp_path, tmp_path / "Fold 3"):
        items = collect(source, settings=SETTINGS).items
        assert [item.patch_id for item in items] == ["fold3-0000", "fold3-0001", "fold3-0002", "fold3-0003"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float32, np.float64])
def test_any_real_type(tmp_path: Path, dtype: type):
    write_pannuke(tmp_path, folds=(1,), dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        contents = [item.read() for item in collect(tmp_path, settings=SETTINGS).items]
    assert {content.image.dtype for content in contents} == {np.dtype(np.uint8)}
    assert [len(content.class_of or {}) for content in contents] == [4, 0, 1, 1]
    np.testing.assert_array_equal(contents[3].image, images(1, np.uint8)[3])


def test_the_background_channel_is_not_read(folds: Path):
    path = folds / "Fold 1" / "masks" / "fold1" / "masks.npy"
    array = np.load(path)
    array[..., 5] = 0.5
    np.save(path, array)
    content = collect(folds, settings=SETTINGS).items[0].read()
    assert len(content.class_of or {}) == 4


@pytest.mark.parametrize("kind", ["images", "masks"])
@pytest.mark.parametrize("value", [0.5, -1.0, np.nan, np.inf, 1e12])
def test_fractions_and_numbers_out_of_range(folds: Path, kind: str, value: float):
    path = folds / "Fold 2" / kind / "fold2" / f"{kind}.npy"
    array = np.load(path)
    array[2, 4, 5, 1] = value
    np.save(path, array)
    items = _by_id(collect(folds, settings=SETTINGS))
    items["fold2-0001"].read()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(DatasetError, match=rf"{kind}\.npy, image 2") as caught:
            items["fold2-0002"].read()
    assert str(value) in str(caught.value)


def test_pictures_from_0_to_1_are_refused(folds: Path):
    path = folds / "Fold 1" / "images" / "fold1" / "images.npy"
    np.save(path, np.load(path) / 255)
    with pytest.raises(DatasetError, match="whole numbers from 0 to 255"):
        collect(folds, settings=SETTINGS).items[0].read()


@pytest.mark.parametrize("gone", [("types",), ("masks",), ("images",), ("masks", "types")])
def test_files_that_are_missing_are_named_at_once(folds: Path, gone: tuple[str, ...]):
    for name in gone:
        folder = "masks" if name == "masks" else "images"
        (folds / "Fold 2" / folder / "fold2" / f"{name}.npy").unlink()
    with pytest.raises(DatasetError, match="Fold 2") as caught:
        collect(folds, settings=SETTINGS)
    assert all(f"{name}.npy" in str(caught.value) for name in gone)


@pytest.mark.parametrize("name", ["images", "masks", "types"])
@pytest.mark.parametrize("keep", [0, 4, 90, 150])
def test_truncated_arrays(folds: Path, name: str, keep: int):
    path = folds / "Fold 1" / ("masks" if name == "masks" else "images") / "fold1" / f"{name}.npy"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DatasetError, match=rf"{name}\.npy"):
        collect(folds, settings=SETTINGS)


@pytest.mark.parametrize("name", ["images", "masks", "types"])
def test_pickles_are_never_read(folds: Path, name: str):
    path = folds / "Fold 1" / ("masks" if name == "masks" else "images") / "fold1" / f"{name}.npy"
    np.save(path, np.array(TISSUES, object), allow_pickle=True)
    with pytest.raises(DatasetError, match=rf"{name}\.npy: .*pickled"):
        collect(folds, settings=SETTINGS)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("masks", np.zeros((3, SIDE, SIDE, 6)), "4, 32, 32, 6"),
        ("masks", np.zeros((4, SIDE, SIDE, 5)), "4, 32, 32, 6"),
        ("images", np.zeros((4, SIDE, SIDE)), "any, any, any, 3"),
        ("images", np.zeros((4, SIDE, SIDE, 3), complex), "complex"),
        ("types", np.array(TISSUES[:3]), r"\(4,\)"),
        ("types", np.arange(4), "int64"),
        ("types", np.array(["Breast", "Breast", "Brain", "Moon"]), "'Brain', 'Moon'"),
    ],
)
def test_arrays_that_do_not_fit(folds: Path, name: str, array: np.ndarray, words: str):
    np.save(folds / "Fold 1" / ("masks" if name == "masks" else "images") / "fold1" / f"{name}.npy", array)
    with pytest.raises(DatasetError, match=words) as caught:
        collect(folds, settings=SETTINGS)
    assert f"{name}.npy" in str(caught.value)


def test_tissues_as_bytes(folds: Path):
    np.save(folds / "Fold 1" / "images" / "fold1" / "types.npy", np.array(TISSUES, "S20"))
    assert collect(folds, settings=SETTINGS).items[2].facts["organ"] == "Head and neck"


def test_a_fold_that_holds_another_one(tmp_path: Path):
    """Fold 2 under the name of fold 3: found by its 2,523 images (specification 3.1); the files are sparse."""
    write_fold(tmp_path / "Fold 3", 3)
    shapes = {"images": (2_523, 4, 4, 3), "masks": (2_523, 4, 4, 6)}
    for kind, shape in shapes.items():
        path = tmp_path / "Fold 3" / kind / "fold3" / f"{kind}.npy"
        path.unlink()
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
    np.save(tmp_path / "Fold 3" / "images" / "fold3" / "types.npy", np.array(["Breast"] * 2_523))
    collection = collect(tmp_path, settings=SETTINGS)
    ((name, remark),) = collection.remarks
    assert (name, remark.kind) == ("fold 3", "problem")
    assert "fold 2 shipped as fold 3" in remark.text


def test_what_an_archiver_of_macos_adds_is_passed_over(folds: Path):
    for k in (1, 2):
        (folds / "__MACOSX" / f"Fold {k}" / "images" / f"fold{k}").mkdir(parents=True)
    assert len(collect(folds, settings=SETTINGS).items) == 8


def test_a_folder_named_after_another_fold(tmp_path: Path):
    write_fold(tmp_path / "Fold 3", 2)
    with pytest.raises(DatasetError, match="fold2"):
        collect(tmp_path, settings=SETTINGS)


def test_a_fold_twice(tmp_path: Path):
    write_fold(tmp_path / "Fold 1", 1)
    write_fold(tmp_path / "fold1", 1)
    with pytest.raises(DatasetError, match="several folders"):
        collect(tmp_path, settings=SETTINGS)


def test_both_editions_and_none(tmp_path: Path):
    with pytest.raises(DatasetError, match="neither"):
        collect(tmp_path, settings=SETTINGS)
    write_pannuke(tmp_path, folds=(1,))
    write_pannuke_parquet(tmp_path, folds=(1,))
    with pytest.raises(DatasetError, match="Both editions"):
        collect(tmp_path, settings=SETTINGS)
    with pytest.raises(DatasetError, match="no such folder"):
        collect(tmp_path / "absent", settings=SETTINGS)


def test_limits_hold(folds: Path, shards: Path):
    with pytest.raises(LimitError, match="MAX_PIXELS"):
        collect(folds, settings=Settings(max_pixels=SIDE * SIDE - 1))
    with pytest.raises(LimitError, match="MAX_PIXELS"):
        collect(shards, settings=Settings(max_pixels=SIDE * SIDE - 1)).items[0].read()
    with pytest.raises(LimitError, match="MAX_GEOJSON_BYTES"):
        collect(shards, settings=Settings(max_geojson_bytes=1_000))


def test_parquet_files_beside_each_other(shards: Path):
    assert len(collect(shards / "data", settings=SETTINGS).items) == 8


def test_parquet_rows_in_any_order_and_in_threads(shards: Path):
    items = _by_id(collect(shards, settings=SETTINGS))
    mixed = [items[f"fold{fold}-000{i}"] for i in (3, 0, 2, 1) for fold in (2, 1)] * 4
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda item: item.read(), mixed))
    for item, content in zip(mixed, found, strict=True):
        np.testing.assert_array_equal(content.image, images(int(item.patch_id[4]))[int(item.patch_id[-1])])


def test_a_parquet_file_of_a_fold_is_missing(shards: Path):
    (shards / "data" / "fold2-00000-of-00002.parquet").unlink()
    with pytest.raises(DatasetError, match=r"fold2-00000-of-00002\.parquet"):
        collect(shards, settings=SETTINGS)


def test_parquet_files_of_two_editions(shards: Path):
    write_table(shards / "data" / "fold1-00000-of-00009.parquet", rows(1))
    with pytest.raises(DatasetError, match="00009"):
        collect(shards, settings=SETTINGS)


def test_codes_that_stand_for_other_classes(shards: Path):
    other = schema([CLASS_NAMES[k] for k in (1, 0, 2, 3, 4)])
    write_table(shards / "data" / "fold1-00000-of-00001.parquet", rows(1), columns=other)
    with pytest.raises(DatasetError, match="Inflammatory, Neoplastic"):
        collect(shards, settings=SETTINGS)


@pytest.mark.parametrize("stated", [None, {b"huggingface": b"{"}, {b"huggingface": b'{"info": {"features": []}}'}])
def test_names_of_codes_need_not_be_stated(shards: Path, stated: dict[bytes, bytes] | None):
    columns = schema().remove_metadata().with_metadata(stated)
    write_table(shards / "data" / "fold1-00000-of-00001.parquet", rows(1), columns=columns)
    assert len(collect(shards, settings=SETTINGS).items[0].read().class_of or {}) == 4


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_a_truncated_parquet_file(shards: Path, keep: int):
    path = shards / "data" / "fold1-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DatasetError, match=r"fold1-00000-of-00001\.parquet"):
        collect(shards, settings=SETTINGS)


def test_a_parquet_file_that_is_damaged_inside(shards: Path):
    path = shards / "data" / "fold1-00000-of-00001.parquet"
    data = bytearray(path.read_bytes())
    data[4:2000] = bytes(1996)
    path.write_bytes(bytes(data))
    with pytest.raises(HistoseedError, match=r"fold1-00000-of-00001\.parquet"):
        collect(shards, settings=SETTINGS).items[0].read()


def _changed(**change: Any) -> list[dict[str, Any]]:
    return [rows(1)[0] | change]


_GREY, _TRUE = np.zeros((SIDE, SIDE), np.uint8), np.ones((SIDE, SIDE), bool)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"categories": [0, 0, 1, 5]}, "category 5"),
        ({"categories": [0, 0, 1, -1]}, "category -1"),
        ({"categories": [0, 0, 1, None]}, "category None"),
        ({"categories": [0, 0, 1]}, "4 instances and 3 categories"),
        ({"tissue": 19}, "tissue 19"),
        ({"tissue": None}, "tissue None"),
        ({"image": png(_GREY)}, "mode L"),
        ({"image": {"bytes": None, "path": "1.png"}}, "no picture"),
        ({"image": {"bytes": b"no png", "path": None}}, "cannot be read"),
        ({"image": {"bytes": png(np.zeros((SIDE, SIDE, 3), np.uint8))["bytes"][:60], "path": None}}, "cannot be read"),
        ({"instances": [png(_TRUE[1:])], "categories": [0]}, "instance 0: The mask is 32 x 31"),
        ({"instances": [png(np.zeros((SIDE, SIDE, 3), np.uint8))], "categories": [0]}, "mode RGB"),
    ],
)
def test_rows_that_cannot_be_read(tmp_path: Path, change: dict[str, Any], words: str):
    path = tmp_path / "fold1-00000-of-00001.parquet"
    write_table(path, _changed(**change))
    with pytest.raises(DatasetError, match=words) as caught:
        collect(tmp_path, settings=SETTINGS).items[0].read()
    assert f"{path}, row 0" in str(caught.value)


def test_an_empty_mask_is_a_lost_nucleus(tmp_path: Path):
    change = {"instances": [png(~_TRUE), png(_TRUE), png(_GREY + 255)], "categories": [0, 1, 2]}
    write_table(tmp_path / "fold1-0.parquet", _changed(**change))
    content = collect(tmp_path, settings=SETTINGS).items[0].read()
    assert (content.class_of, content.objects_lost, content.pixels_lost) == ({3: "Connective"}, 2, SIDE * SIDE)


@pytest.mark.parametrize(
    "columns",
    [
        {"image": pa.binary()},
        {"instances": pa.struct([("bytes", pa.binary())])},
        {"instances": pa.list_(pa.int64())},
        {"categories": pa.list_(pa.string())},
        {"tissue": pa.string()},
        {"tissue": None},
    ],
)
def test_columns_of_another_type(tmp_path: Path, columns: dict[str, pa.DataType | None]):
    kinds = {field.name: field.type for field in schema()} | columns
    table = pa.schema([(name, kind) for name, kind in kinds.items() if kind is not None])
    write_table(tmp_path / "fold1-00000-of-00001.parquet", [], columns=table)
    with pytest.raises(DatasetError, match=r"fold1-00000-of-00001\.parquet"):
        collect(tmp_path, settings=SETTINGS)


def test_published_totals():
    totals = {(t.measure, *t.where.values()): t.value for t in CARD.totals}
    assert [totals["patches", k] for k in (1, 2, 3)] == [2_656, 2_523, 2_722]  # specification 3.1
    assert (totals["patches",], totals["objects",]) == (7_901, 189_744)  # specification 3.1
    assert [totals["empty", k] for k in (1, 2, 3)] == [116, 113, 114]  # specification 3.1
    table = {  # specification 3.1, totals
        1: (26_201, 10_820, 16_388, 967, 8_842),
        2: (22_731, 10_631, 16_756, 884, 8_870),
        3: (28_471, 10_825, 17_441, 1_057, 8_860),
    }
    for fold, values in table.items():
        assert [totals["objects", fold, name] for name in CLASSES] == list(values)
    assert [sum(column) for column in zip(*table.values(), strict=True)] == [77_403, 32_276, 50_585, 2_908, 26_572]
    tissues = {t.where["organ"]: t.value for t in CARD.totals if "organ" in t.where}
    assert (len(tissues), sum(tissues.values())) == (19, 7_901)  # specification 3.1, tissues
    assert (tissues["Breast"], tissues["Uterus"], tissues["Head and neck"]) == (2_351, 186, 384)


@WRITERS
def test_round_trip(tmp_path: Path, write: Callable[[Path], None]):
    write(tmp_path / "source")
    dataset = import_dataset("pannuke", tmp_path / "source", tmp_path / "out", workers=2)
    dataset.verify()
    assert len(dataset) == 12
    one = dataset.patch("fold2-0000")
    assert (one.mpp, one.group, one.fold, one.organ) == (0.25, "fold 2", 2, "Adrenal gland")
    assert [one.classes[i - 1] for i in one.class_ids[1:]] == ["Neoplastic", "Neoplastic", "Inflammatory", "Epithelial"]
    assert dataset.instances.height == 3 * 6
    assert any("60 pixels and 3 whole objects" in text for text in dataset.info.known_problems)


def test_both_editions_give_the_same_objects(tmp_path: Path):
    write_pannuke(tmp_path / "numpy")
    write_pannuke_parquet(tmp_path / "parquet")
    one, two = (import_dataset("pannuke", tmp_path / k, tmp_path / f"{k}-out") for k in ("numpy", "parquet"))
    assert one.instances.equals(two.instances)
    assert one.patches.equals(two.patches)
    assert masks().any()
