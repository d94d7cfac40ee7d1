"""CoNSeP: seven classes and the view of four, the published split, MATLAB label files."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from fixtures.consep import maps, write_consep
from histoseed.datasets.importers import import_dataset
from histoseed.datasets.importers.consep import CARD, collect
from histoseed.errors import DatasetError, InputError, LimitError
from histoseed.settings import Settings

SETTINGS = Settings()

SEVEN = (  # specification 9, codes 1..7
    *("Other", "Inflammatory", "Healthy epithelial", "Dysplastic or malignant epithelial"),
    *("Fibroblast", "Muscle", "Endothelial"),
)
FOUR = ("Other", "Inflammatory", "Epithelial", "Spindle-shaped")  # specification 9, merged


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_consep(tmp_path)


def test_seven_classes(source: Path):
    collection = collect(source, settings=SETTINGS)
    assert [c.name for c in collection.info.classes] == list(SEVEN)
    content = collection.items[-1].read()
    np.testing.assert_array_equal(content.objects, maps()[0])
    assert content.class_of is not None
    assert [content.class_of[k] for k in range(1, 8)] == list(SEVEN)
    assert content.class_of[9] == "Healthy epithelial"  # 16 pixels of 36, against 12 and 8
    assert content.class_of[12] is None
    assert {(r.count, r.kind) for r in content.remarks} == {(1, "problem")}
    assert [next(w for w in ("several", "no pixel") if w in r.text) for r in content.remarks] == ["several", "no pixel"]


def test_four_classes_are_merged_before_the_vote(source: Path):
    collection = collect(source, scheme="merged", settings=SETTINGS)
    assert [c.name for c in collection.info.classes] == list(FOUR)
    class_of = collection.items[0].read().class_of
    assert class_of is not None
    merged = [FOUR[k - 1] for k in (1, 2, 3, 3, 4, 4, 4)]  # specification 9: 3,4 -> 3; 5,6,7 -> 4
    assert [class_of[k] for k in range(1, 8)] == merged
    assert class_of[9] == "Spindle-shaped"  # 12 + 8 pixels against 16
    assert class_of[12] is None


def test_an_unknown_scheme(source: Path):
    with pytest.raises(InputError, match="merged"):
        collect(source, scheme="four", settings=SETTINGS)


def test_the_published_split_is_the_group(source: Path):
    facts = {item.patch_id: item.facts for item in collect(source, settings=SETTINGS).items}
    assert {name: (f["split"], f["group"]) for name, f in facts.items()} == {
        "train_1": ("train", "published train"),
        "train_2": ("train", "published train"),
        "test_1": ("test", "published test"),
    }
    assert {(f["mpp"], f["mpp_source"]) for f in facts.values()} == {(0.25, "metadata")}  # specification 9
    assert not any({"patient", "slide", "centre"} & f.keys() for f in facts.values())


def test_alpha_is_taken_off_with_a_note(source: Path):
    items = {item.patch_id: item for item in collect(source, settings=SETTINGS).items}
    with_alpha, without = items["train_1"].read(), items["train_2"].read()
    np.testing.assert_array_equal(with_alpha.image, without.image)
    assert any(r.kind == "note" for r in with_alpha.remarks)
    assert not any(r.kind == "note" for r in without.remarks)


@pytest.mark.parametrize("scheme", ["raw", "merged"])
def test_an_unknown_class(source: Path, scheme: str):
    labels, types = maps()
    types[0, 0] = 8
    path = source / "Test" / "Labels" / "test_1.mat"
    scipy.io.savemat(path, {"inst_map": labels, "type_map": types})
    item = collect(source, scheme=scheme, settings=SETTINGS).items[-1]
    with pytest.raises(DatasetError, match=r"test_1\.mat: Class code 8"):
        item.read()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"inst_map": maps()[0]}, "'type_map' is missing"),
        ({"inst_map": maps()[0], "type_map": np.zeros((3, 3))}, "3 x 3"),
        ({"inst_map": maps()[0] + 0.5, "type_map": maps()[1]}, "0.5"),
    ],
)
def test_wrong_label_files(source: Path, content: dict[str, np.ndarray], words: str):
    scipy.io.savemat(source / "Test" / "Labels" / "test_1.mat", content)
    with pytest.raises(DatasetError, match=words) as caught:
        collect(source, settings=SETTINGS).items[-1].read()
    assert "test_1.mat" in str(caught.value)


def test_a_truncated_label_file(source: Path):
    path = source / "Test" / "Labels" / "test_1.mat"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DatasetError, match=r"test_1\.mat"):
        collect(source, settings=SETTINGS).items[-1].read()


def test_limits_hold_for_labels(source: Path):
    item = collect(source, settings=Settings(max_pixels=30 * 40)).items[-1]
    item.read()
    scipy.io.savemat(source / "Test" / "Labels" / "test_1.mat", {"inst_map": np.zeros((50, 50)), "type_map": maps()[1]})
    with pytest.raises(LimitError, match="MAX_PIXELS"):
        item.read()


def test_missing_partners(source: Path):
    (source / "Train" / "Labels" / "train_2.mat").unlink()
    with pytest.raises(DatasetError, match="train_2"):
        collect(source, settings=SETTINGS)


@pytest.mark.parametrize("part", ["Train", "Test/Images"])
def test_missing_folders(source: Path, part: str):
    (source / part).rename(source / "elsewhere")
    with pytest.raises(DatasetError, match=part.partition("/")[0]):
        collect(source, settings=SETTINGS)


def test_the_folder_above_and_a_renamed_one(source: Path):
    renamed = source.with_name("consep_copy")
    assert len(collect(source.parent, settings=SETTINGS).items) == 3
    source.rename(renamed)
    assert len(collect(renamed, settings=SETTINGS).items) == 3
    assert len(collect(renamed.parent, settings=SETTINGS).items) == 3
    shutil.copytree(renamed, renamed.with_name("consep_again"))
    with pytest.raises(DatasetError, match="Train"):  # two folders fit
        collect(renamed.parent, settings=SETTINGS)


def test_published_totals():
    totals = {(t.measure, *t.where.values()): t.value for t in CARD.totals}
    assert (totals["patches",], totals["patches", "train"], totals["patches", "test"]) == (
        41,
        27,
        14,
    )  # specification 9
    assert totals["objects",] == 24_319  # specification 9
    assert CARD.commercial == "unknown"


def test_round_trip(source: Path, tmp_path: Path):
    dataset = import_dataset("consep", source, tmp_path / "out", scheme="merged")
    dataset.verify()
    assert dataset.patch_ids == ["train_1", "train_2", "test_1"]
    one = dataset.patch("test_1")
    assert (one.mpp, one.split, one.group, one.classes) == (0.25, "test", "published test", FOUR)
    np.testing.assert_array_equal(one.labels, maps()[0])
    assert any("several classes" in text for text in dataset.info.known_problems)
