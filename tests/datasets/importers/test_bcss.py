"""Import of BCSS: 22 codes, two of them don't care, split by institute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fixtures.bcss import SLIDES, codes, stem_of, write_bcss
from histoseed.datasets.importers import import_dataset
from histoseed.datasets.importers.bcss import CARD, collect
from histoseed.errors import AnnotationError, DatasetError, LimitError, SlideError
from histoseed.settings import Settings

SETTINGS = Settings()

# specification 6
CODES = [
    "outside_roi", "tumor", "stroma", "lymphocytic_infiltrate", "necrosis_or_debris", "glandular_secretions", "blood",
    "exclude", "metaplasia_NOS", "fat", "plasma_cells", "other_immune_infiltrate", "mucoid_material",
    "normal_acinus_or_duct", "lymphatics", "undetermined", "nerve", "skin_adnexa", "blood_vessel", "angioinvasion",
    "dcis", "other",
]  # fmt: skip


def test_every_code_has_its_region_and_two_count_for_nothing(tmp_path: Path):
    collection = collect(write_bcss(tmp_path), settings=SETTINGS)
    names = [c.name for c in collection.info.region_classes]
    content = collection.items[0].read()
    named = np.array(["-", *names])[content.regions]
    expected = np.array([name if name not in ("outside_roi", "exclude") else "-" for name in CODES])[codes()]
    np.testing.assert_array_equal(named, expected)
    np.testing.assert_array_equal(content.ignore, np.isin(codes(), (0, 7)))
    assert len(names) == 20
    assert content.objects is None
    assert collection.info.classes == ()


def test_names_say_place_groups_and_split(tmp_path: Path):
    collection = collect(write_bcss(tmp_path), settings=SETTINGS)
    facts = {item.facts["slide"]: item.facts for item in collection.items}
    assert facts["TCGA-A1-A0SK-DX1"] == {
        "mpp": 0.25,
        "mpp_source": "metadata",
        "exhaustive": False,  # nuclei are not annotated
        "x": 45749.0,
        "y": 25055.0,
        "slide": "TCGA-A1-A0SK-DX1",
        "patient": "TCGA-A1-A0SK",
        "centre": "A1",
        "organ": "breast",
        "split": "train",
    }
    assert [facts[slide]["split"] for slide in SLIDES] == ["train", "test", "test"]
    assert [remark.text for _, remark in collection.remarks] == ["The authors normalised the colours of the pictures"]


def test_the_published_counts_agree_with_each_other():
    count = {total.where.get("split"): total.value for total in CARD.totals if total.measure == "patches"}
    centres = {total.where["centre"]: total.value for total in CARD.totals if "centre" in total.where}
    test = ("OL", "LL", "E2", "EW", "GM", "S3")  # specification 6
    assert sum(centres.values()) == 151
    assert count["test"] == sum(centres[name] for name in test) == 45
    assert count["train"] == 151 - 45


def test_raw_pictures_of_the_authors_script(tmp_path: Path):
    collection = collect(write_bcss(tmp_path, pictures="images"), settings=SETTINGS)
    assert len(collection.items) == 3
    assert collection.remarks == []


@pytest.mark.parametrize("level", ["..", "."])
def test_the_folder_or_the_one_above(tmp_path: Path, level: str):
    folder = write_bcss(tmp_path)
    assert len(collect((folder / level).resolve(), settings=SETTINGS).items) == 3


def _mask(folder: Path) -> Path:
    return folder / "masks" / f"{stem_of('TCGA-A1-A0SK-DX1')}.png"


def test_missing_partners_are_named(tmp_path: Path):
    folder = write_bcss(tmp_path)
    _mask(folder).unlink()
    with pytest.raises(DatasetError, match="No mask for TCGA-A1-A0SK"):
        collect(folder, settings=SETTINGS)


def test_another_name_is_refused(tmp_path: Path):
    folder = write_bcss(tmp_path)
    for name in ("masks", "rgbs_colorNormalized"):
        (folder / name / _mask(folder).name).rename(folder / name / "TCGA-A1-A0SK-DX1.png")
    with pytest.raises(DatasetError, match="Not a name of BCSS"):
        collect(folder, settings=SETTINGS)


def test_masks_that_cannot_be_right_are_refused(tmp_path: Path):
    folder = write_bcss(tmp_path)
    mask = _mask(folder)

    def read() -> None:
        collect(folder, settings=SETTINGS).items[0].read()

    wrong = codes()
    wrong[3, 4] = 22
    Image.fromarray(wrong).save(mask)
    with pytest.raises(DatasetError, match="22 is not known") as caught:
        read()
    assert mask.name in str(caught.value)
    Image.fromarray(codes()[:, :-1]).save(mask)
    with pytest.raises(DatasetError, match="43 x 20 pixels, its picture 44 x 20"):
        read()
    colour = np.dstack([codes(), codes(), 255 - codes()])
    Image.fromarray(colour).save(mask)
    with pytest.raises(AnnotationError, match="colour"):
        read()
    mask.write_bytes(b"\x89PNG\r\n\x1a\n cut off")
    with pytest.raises(AnnotationError, match="cannot be read"):
        read()
    (folder / "rgbs_colorNormalized" / mask.name).write_bytes(b"")
    with pytest.raises(SlideError):
        read()


def test_a_bomb_is_refused(tmp_path: Path):
    collection = collect(write_bcss(tmp_path), settings=Settings(max_pixels=100))
    with pytest.raises(LimitError):
        collection.items[0].read()


def test_no_folder_of_pictures(tmp_path: Path):
    with pytest.raises(DatasetError, match="rgbs_colorNormalized"):
        collect(tmp_path, settings=SETTINGS)


def test_round_trip(tmp_path: Path):
    dataset = import_dataset("bcss", write_bcss(tmp_path), tmp_path / "ds")
    dataset.verify()
    patch = dataset.patch(0)
    assert not patch.exhaustive
    assert patch.region_classes[patch.regions[0, 2] - 1] == "tumor"  # columns 2 and 3 have code 1
    np.testing.assert_array_equal(patch.ignore, np.isin(codes(), (0, 7)))
    assert dataset.instances.height == 0
    assert dataset.patches["split"].to_list() == ["train", "test", "test"]
    assert any("normalised" in note for note in dataset.info.notes)
