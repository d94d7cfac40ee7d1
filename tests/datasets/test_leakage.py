"""What data sets share: the published overlaps, turned and changed copies, crops, known relations."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shapely
from scipy import ndimage

from histoseed.annotations import Instances
from histoseed.datasets import Dataset, DatasetInfo, DatasetWriter, read_dataset
from histoseed.datasets.leakage import LEAKAGE_SCHEMA, Leakage, find_leakage, look_at
from histoseed.errors import InputError


def _ids(text: str) -> list[str]:
    return text.split()


# specification 8: the split of Kumar (which is the 30 documented training images of MoNuSeg)
KUMAR_TRAIN = _ids(
    """
    18-5592 21-5784 38-6178 50-5931 A7-A13E AR-A1AK AR-A1AS B0-5711 E2-A14V G9-6348 G9-6356 G9-6362 G9-6363 HE-7128
    HE-7129 HE-7130
    """
)
KUMAR_TEST = _ids(
    """
    21-5786 49-4488 A7-A13F CH-5767 E2-A1B5 G9-6336 B0-5698 B0-5710 AY-A8YK DK-A2I6 KB-A93J NH-A8F7 RD-A8N9 G2-A2EK
    """
)
# specification 8: the patients of the MoNuSeg test set, and six of the seven undocumented training images
MONUSEG_TEST = _ids(
    """
    2Z-A9J9 44-2665 69-7764 A6-6782 AC-A2FO AO-A0J2 CU-A0YN EJ-A46H FG-A4MU GL-6846 HC-7209 HT-8564 IZ-8196 ZF-A9R5
    """
)
MONUSEG_EXTRA = _ids(
    """
    FG-A87N MH-A561 UZ-A9PN F9-A8NY BC-A217 UZ-A9PJ
    """
)
# specification 13.3
CRYONUSEG = _ids(
    """
    TT-A6YO S7-A7WO SQ-A6I6 QK-AA3J F7-A622 CV-A45Y G8-6324 GR-A4D6 D3-A2JB YT-A95H XM-A8RF ZB-A969 3A-A9IV FZ-5920
    2J-AABI MQ-A4LI ZN-A9VW YS-A95B EE-A17Y D9-A4Z3 GN-A4U5 SN-A84W ZM-AA0N YU-A90Q XH-A853 3S-AAYX 3G-AB0Q BJ-A0Z2
    DE-A4MC CE-A481
    """
)
# specification 7, 15: of MoNuSAC and BCSS only the shared patients are listed there
MONUSAC_BOTH, MONUSAC_TEST = ["A2-A0ES", "MP-A4T7"], ["G9-6356", "F9-A8NY", "EW-A6SB"]
BCSS = ["EW-A6SB", "AO-A0J2", "A1-A0SK"]

GREY = np.full((4, 4, 3), 128, np.uint8)


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Dataset]:
    """A function that writes a data set of blank patches: patch id -> facts."""

    def write(name: str, patches: dict[str, dict], folder: str | None = None) -> Dataset:
        path = tmp_path / (folder or name)
        with DatasetWriter(path, DatasetInfo(name=name)) as writer:
            for patch_id, given in patches.items():
                facts = dict(given)
                writer.add(patch_id, facts.pop("image", GREY), facts.pop("labels", None), **facts)
        return read_dataset(path)

    return write


def patients(ids: Iterable[str], split: str | None = None, suffix: str = "") -> dict[str, dict]:
    return {
        f"TCGA-{one}{suffix}{split or ''}": {"patient": f"TCGA-{one}", "split": split} for one in ids
    }  # fmt: skip


def bare(ids: Iterable[str]) -> dict[str, dict]:
    """Patches of which nothing is known."""
    return {one: {} for one in ids}


def triples(found: Leakage, kind: str) -> set[tuple[str, str, str]]:
    """(side, side, name) of one kind, a side being the data set and its part."""
    rows = found.findings.filter(pl.col("kind") == kind).iter_rows(named=True)
    return {(f"{r['a']} {r['part_a']}".strip(), f"{r['b']} {r['part_b']}".strip(), r["name"]) for r in rows}


def test_the_published_overlaps_come_out_of_the_barcodes(made: Callable[..., Dataset]) -> None:
    sets = [
        made("monusac", patients(MONUSAC_BOTH, "train") | patients(MONUSAC_BOTH + MONUSAC_TEST, "test")),
        made("monuseg", patients(KUMAR_TRAIN + KUMAR_TEST + MONUSEG_EXTRA, "train") | patients(MONUSEG_TEST, "test")),
        made("kumar", patients(KUMAR_TRAIN, "train") | patients(KUMAR_TEST, "test")),
        made("bcss", patients(BCSS)),
        made("cryonuseg", patients(CRYONUSEG)),
    ]
    found = find_leakage(sets)
    kumar = {("monuseg train", "kumar train", f"TCGA-{one}") for one in KUMAR_TRAIN}
    kumar |= {("monuseg train", "kumar test", f"TCGA-{one}") for one in KUMAR_TEST}
    # specification 15, row by row; nothing is shared that is not listed there
    assert triples(found, "patient") == kumar | {
        ("monusac test", "monusac train", "TCGA-A2-A0ES"),
        ("monusac test", "monusac train", "TCGA-MP-A4T7"),
        ("monusac test", "monuseg train", "TCGA-G9-6356"),
        ("monusac test", "kumar train", "TCGA-G9-6356"),
        ("monusac test", "monuseg train", "TCGA-F9-A8NY"),
        ("monusac test", "bcss", "TCGA-EW-A6SB"),
        ("monuseg test", "bcss", "TCGA-AO-A0J2"),
    }
    assert found.findings["sure"].all()
    relations = found.findings.filter(pl.col("kind") == "relation")
    assert relations.select("a", "b", "patches_a", "patches_b").rows() == [("monuseg", "kumar", 30, 30)]
    assert found.found


def test_a_shortened_barcode_is_the_same_slide_unless_it_could_be_another(made: Callable[..., Dataset]) -> None:
    sets = [
        made("whole", {"a": {"slide": "TCGA-A1-A0SK-01Z-00-DX1"}, "b": {"slide": "TCGA-A1-A0SP-01A-01-TS1"}}),
        made("short", {"TCGA-A1-A0SK-DX1_xmin4_ymin5": {}, "TCGA-A1-A0SP-TS1_xmin4": {}}),
    ]
    keys = {("whole", "short", "TCGA-A1-A0SK-DX1"), ("whole", "short", "TCGA-A1-A0SP-TS1")}
    assert triples(find_leakage(sets), "slide") == keys
    other = made("other", {"c": {"slide": "TCGA-A1-A0SP-06A-01-TS1"}})
    found = triples(find_leakage([*sets, other]), "slide")
    assert found == {("whole", "short", "TCGA-A1-A0SK-DX1")}
    assert len(triples(find_leakage([*sets, other]), "patient")) == 4


def test_equal_names_of_two_sets_are_told_as_doubtful_and_within_one_set_as_sure(made: Callable[..., Dataset]) -> None:
    first = made("a", {"x": {"patient": "7", "split": "train"}, "y": {"patient": "7", "split": "test"}})
    second = made("b", {"z": {"patient": "7"}})
    found = find_leakage([first, second]).findings
    assert found.filter("sure").select("a", "part_a", "b", "part_b").rows() == [("a", "test", "a", "train")]
    assert found.filter(~pl.col("sure")).height == 2
    assert not find_leakage([second]).found
    assert not find_leakage([made("c", {"z": {"patient": "7"}}), second]).found


def test_folds_are_compared_too(made: Callable[..., Dataset]) -> None:
    data = made("a", {f"p{k}": {"patient": "x", "slide": f"s{k}", "fold": k % 2} for k in range(3)})
    assert triples(find_leakage([data]), "patient") == {("a fold 0", "a fold 1", "x")}


def test_an_object_annotated_twice_is_found(made: Callable[..., Dataset]) -> None:
    cell = Instances.build([shapely.box(1, 1, 3, 3)], id=["7f0c5b0e-0000-4000-8000-000000000001"])
    data = made(
        "a", {"p": {"labels": cell, "split": "train"}, "q": {"labels": cell, "split": "val"}, "r": {"labels": cell}}
    )
    found = find_leakage([data]).findings
    assert found.select("kind", "part_a", "part_b", "name", "patches_a").rows() == [
        ("object", "train", "val", "1 object", 1)
    ]


def tissue(seed: int, height: int = 96, width: int = 96) -> np.ndarray:
    rng = np.random.default_rng(seed)
    layers = [ndimage.gaussian_filter(rng.normal(size=(height, width, 3)), (s, s, 0)) * s for s in (1.5, 4, 9)]
    return (170 + 60 * sum(layers)).clip(0, 255).astype(np.uint8)


def with_pictures(*sets: Dataset, **options: float) -> Leakage:
    return find_leakage(sets, [look_at(one, workers=2) for one in sets], **options)


def test_turned_and_changed_copies_are_found_across_data_sets(made: Callable[..., Dataset]) -> None:
    first = made("a", {f"p{k}": {"image": tissue(k)} for k in range(4)})
    paler = (tissue(2) * 0.9 + 12).astype(np.uint8)
    second = made(
        "b", {"same": {"image": tissue(0)}, "turned": {"image": np.rot90(paler).copy()}, "new": {"image": tissue(9)}}
    )
    found = with_pictures(first, second)
    rows = found.findings.select("kind", "name", "detail").rows()
    # The second, p2 rotated counter-clockwise, comes back by the opposite turn.
    assert rows == [
        ("image", "p0 = same", "equal files"),
        ("image", "p2 = turned", "rotated by 90 degrees clockwise"),
    ]
    assert found.findings["similarity"].min() > 0.99
    assert not with_pictures(first, second, similarity=1.0).findings.filter(pl.col("name") == "p2 = turned").height


def test_within_a_data_set_only_what_nothing_keeps_together_counts(made: Callable[..., Dataset]) -> None:
    image = tissue(0)
    names = {
        "train": {"image": image, "split": "train", "patient": "1"},
        "train2": {"image": image, "split": "train", "patient": "2"},
        "test": {"image": image, "split": "test", "patient": "3"},
    }
    found = with_pictures(made("split", names)).findings
    assert found["name"].to_list() == ["train = test", "train2 = test"]
    free = {"a": {"image": image, "patient": "1"}, "b": {"image": image, "patient": "1"}, "c": {"image": image}}
    assert with_pictures(made("free", free)).findings["name"].to_list() == ["a = c", "b = c"]
    folds = {"a": {"image": image, "fold": 1}, "b": {"image": image, "fold": 1}, "c": {"image": image, "fold": 2}}
    rows = with_pictures(made("folds", folds)).findings.select("part_a", "part_b", "name").rows()
    assert rows == [("fold 1", "fold 2", "a = c"), ("fold 1", "fold 2", "b = c")]


def test_crops_that_overlap_are_found_with_their_size(made: Callable[..., Dataset]) -> None:
    big = tissue(3, 200, 300)
    first = made("whole", {"image": {"image": big}})
    second = made("crops", {"in": {"image": big[20:120, 30:130]}, "none": {"image": tissue(4)}})
    third = made("border", {"edge": {"image": np.concatenate([big[100:, 220:], tissue(5, 100, 40)], axis=1)}})
    found = with_pictures(first, second, third).findings
    assert found.select("kind", "a", "b", "detail").rows() == [
        ("overlap", "whole", "border", "80 x 100 pixels are the same"),
        ("overlap", "whole", "crops", "100 x 100 pixels are the same"),
    ]
    assert found["similarity"].to_list() == [pytest.approx(80 * 100 / (120 * 100)), 1.0]
    without = find_leakage([first, second], [look_at(one, overlaps=False) for one in (first, second)])
    assert not without.found


def test_blank_patches_do_not_all_match(made: Callable[..., Dataset]) -> None:
    white = np.full((64, 64, 3), 244, np.uint8)
    data = made("a", {f"p{k}": {"image": white, "fold": k} for k in range(5)})
    found = with_pictures(data)
    assert not found.found
    assert found.notes == ("5 blank patches were not compared.",)


def test_the_same_blot_at_other_places_is_no_copy(made: Callable[..., Dataset]) -> None:
    blots = []
    for k in range(6):
        image = np.full((64, 64, 3), 244, np.uint8)
        image[5 + 7 * k : 15 + 7 * k, 3 * k : 3 * k + 12] = 90
        blots.append(image)
    assert not with_pictures(made("a", {f"p{k}": {"image": one, "fold": k} for k, one in enumerate(blots)})).found


def test_known_relations_go_by_name_and_by_ids(made: Callable[..., Dataset]) -> None:
    # specification 1, 2: names of images, and of the patches cut out of them
    lizard = made("lizard", bare(["consep_1", "glas_2", "pannuke_3"]))
    conic = made("conic", bare(["consep_1-0000", "consep_1-0001", "glas_9-0000"]))
    consep = made("CoNSeP", bare(["train_1", "test_1"]))
    pannuke = made("pannuke", {"fold1_1": {"fold": 1}})
    rows = find_leakage([lizard, conic, consep, pannuke]).findings.select("a", "b", "patches_a", "patches_b").rows()
    assert set(rows) == {
        ("lizard", "conic", 1, 2),
        ("lizard", "CoNSeP", 1, 2),
        ("lizard", "pannuke", 1, 1),
        ("conic", "CoNSeP", 2, 2),
    }
    # The order in which they are given does not matter.
    assert find_leakage([consep, lizard]).findings.select("a", "b", "patches_a").rows() == [("CoNSeP", "lizard", 2)]
    other = made("lizard", {"crag_1": {}}, "other")
    assert not find_leakage([other, consep]).found


def test_slide_areas_are_compared_by_name_only(made: Callable[..., Dataset], tmp_path: Path) -> None:
    data = made("a", {"p": {"image": tissue(0), "x": 0.0, "y": 0.0}, "q": {"image": tissue(1)}})
    (data.path / "p.png").write_bytes((data.path / "images" / "p.png").read_bytes())
    table = pl.read_parquet(data.path / "patches.parquet")
    names = pl.when(pl.col("patch_id") == "p").then(pl.lit("p.png")).otherwise("image").alias("image")
    table.with_columns(names).write_parquet(data.path / "patches.parquet")
    found = with_pictures(read_dataset(data.path), made("b", {"r": {"image": tissue(0)}}))
    assert not found.found
    assert found.notes == ("1 patch is an area of a slide; only its name was compared.",)


def test_columns_and_refusals(made: Callable[..., Dataset]) -> None:
    data = made("a", {"p": {}})
    found = find_leakage([data])
    assert dict(found.findings.schema) == LEAKAGE_SCHEMA
    assert found.summary().height == 0
    for bad, words in (([], "no data set"), ([data, read_dataset(data.path)], "twice")):
        with pytest.raises(InputError, match=words):
            find_leakage(bad)
    with pytest.raises(InputError, match="similarity"):
        find_leakage([data], similarity=0.0)
    told: list[int] = []
    look_at(data, on_patches=told.append)
    assert told == [1]


def test_sets_of_one_name_are_told_apart_by_their_folder(made: Callable[..., Dataset]) -> None:
    sets = [made("mine", {"TCGA-A1-A0SP-DX1": {}}, folder) for folder in ("one", "two")]
    row = find_leakage(sets).findings.row(0, named=True)
    assert (row["a"], row["b"]) == tuple(f"mine ({one.path})" for one in sets)
