"""Import of PanopTILs: two channels that mean different things, three codes that are no class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from fixtures.panoptils import FIRST, ROWS, SECOND, SIDE, nucleus_codes, region_codes, write_panoptils, write_table
from histoseed.datasets.content import PatchContent
from histoseed.datasets.importers import import_dataset
from histoseed.datasets.importers.panoptils import CARD, collect
from histoseed.errors import DatasetError, InputError, LimitError
from histoseed.settings import Settings

SETTINGS = Settings()

# specification 5
REGIONS = ["EXCLUDE", "TUMOR", "STROMA", "TILS", "NORMAL", "JUNK", "BLOOD", "OTHER", "WHITE"]
SUPER = {
    "CancerEpithelium": "Epithelial",
    "NormalEpithelium": "Epithelial",
    "StromalCellNOS": "Stromal",
    "ActiveStromalCellNOS": "Stromal",
    "TILsCell": "TILs",
    "ActiveTILsCell": "TILs",
    "OtherCell": "Other",
}


def _manual(root: Path) -> Path:
    return write_panoptils(root) / "ManualNucleiManualRegions"


def _first(source: Path, **options: str) -> PatchContent:
    collection = collect(source, settings=SETTINGS, **options)
    assert collection.items[0].patch_id == FIRST
    return collection.items[0].read()


def test_regions_are_channel_0_and_exclude_says_nothing(tmp_path: Path):
    collection = collect(write_panoptils(tmp_path), settings=SETTINGS)
    names = np.array(["EXCLUDE", *(c.name for c in collection.info.region_classes)])
    regions = collection.items[0].read().regions
    np.testing.assert_array_equal(names[regions], np.array(REGIONS)[region_codes()])


def test_nuclei_keep_kind_and_class(tmp_path: Path):
    objects = _first(write_panoptils(tmp_path)).objects
    assert objects.class_name.tolist() == ["CancerEpithelium", "StromalCellNOS", None, "TILsCell"]
    assert objects.kind.tolist() == ["polygon", "box", "polygon", "polygon"]
    assert objects.geometry[0].equals(shapely.Polygon(ROWS[0][3]))
    assert set(objects.source) == {"PanopTILs manual nuclei"}


def test_super_classes(tmp_path: Path):
    folder = _manual(tmp_path)
    triangle = [(1, 1), (9, 1), (1, 9)]
    names = [*SUPER, "UnknownOrAmbiguousCell"]
    write_table(folder / "csv" / f"{FIRST}.csv", [("x", name, "polyline", triangle) for name in names])
    assert _first(folder, scheme="super").objects.class_name.tolist() == [*SUPER.values(), None]
    assert _first(folder).objects.class_name.tolist() == [*SUPER, None]
    assert CARD.schemes["super"] == ("Epithelial", "Stromal", "TILs", "Other")
    assert set(CARD.schemes["raw"]) == set(SUPER)


def test_background_counts_and_exclude_does_not(tmp_path: Path):
    content = _first(write_panoptils(tmp_path))
    rows, columns = np.indices((SIDE, SIDE)) + 0.5
    own = np.zeros((SIDE, SIDE), bool)
    for geometry in content.objects.geometry:
        own |= shapely.contains_xy(geometry, columns, rows)
    outside = nucleus_codes() == 0
    np.testing.assert_array_equal(content.ignore, (region_codes() == 0) | (outside & ~own))
    assert not content.ignore[20, 29]  # the lymphocyte reaches out of the annotated field
    assert not content.ignore[26, 26]  # code 9: looked at, no nucleus
    assert content.ignore[40, 40]
    assert content.regions[40, 40] == 8  # its region class is kept all the same
    assert content.facts["exhaustive"] is True


def test_a_tile_without_annotated_nuclei_is_not_exhaustive_and_keeps_its_regions(tmp_path: Path):
    collection = collect(write_panoptils(tmp_path), settings=SETTINGS)
    content = collection.items[1].read()
    assert collection.items[1].patch_id == SECOND
    assert content.facts["exhaustive"] is False
    np.testing.assert_array_equal(content.ignore, region_codes() == 0)
    assert len(content.objects) == 0
    assert [(r.text, r.count) for _, r in collection.remarks] == [
        ("{count} {tile has|tiles have} no table of nuclei; their masks must show none", 1)
    ]


def test_the_bootstrap_part_comes_in_pieces_and_is_called_silver(tmp_path: Path):
    collection = collect(write_panoptils(tmp_path), part="bootstrap", settings=SETTINGS)
    assert [item.patch_id for item in collection.items] == [FIRST, SECOND]
    contents = [item.read() for item in collection.items]
    assert [content.objects.class_name.tolist() for content in contents] == [["CancerEpithelium"], ["StromalCellNOS"]]
    assert {name for content in contents for name in content.objects.source} == {"NuCLS model in manual regions"}
    assert [item.facts["fold"] for item in collection.items] == [3, None]
    assert collection.info.name == "panoptils bootstrap"


def test_facts(tmp_path: Path):
    facts = collect(write_panoptils(tmp_path), settings=SETTINGS).items[0].facts
    assert facts == {
        "slide": "TCGA-A1-A0SK-DX1",
        "patient": "TCGA-A1-A0SK",
        "centre": "A1",
        "organ": "breast",
        "fold": None,
        "mpp": 0.25,
        "mpp_source": "metadata",
    }


def test_the_part_is_never_guessed(tmp_path: Path):
    folder = _manual(tmp_path)
    with pytest.raises(DatasetError, match="BootstrapNuclei"):
        collect(folder, part="bootstrap", settings=SETTINGS)
    renamed = folder.rename(tmp_path / "download")
    with pytest.raises(DatasetError, match="--part manual or bootstrap"):
        collect(renamed, settings=SETTINGS)
    assert len(collect(renamed, part="manual", settings=SETTINGS).items) == 2
    with pytest.raises(InputError, match="--part"):
        collect(renamed, part="silver", settings=SETTINGS)


def test_the_class_column_is_found_by_its_values(tmp_path: Path):
    folder = _manual(tmp_path)
    table = folder / "csv" / f"{FIRST}.csv"
    text = table.read_text()
    table.write_text(text.replace(",group,", ",label,", 1))
    assert _first(folder).objects.class_name.tolist() == ["CancerEpithelium", "StromalCellNOS", None, "TILsCell"]
    table.write_text(text.replace("TILsCell", "tilscell"))
    with pytest.raises(DatasetError, match=r"csv, line 5: There is no class 'tilscell' \(column 'group'\)"):
        _first(folder)
    table.write_text(text.replace("_group", "_class").replace(",tumor,", ",OtherCell,").replace(",fibroblast,", ",,"))
    assert _first(folder).objects.class_name.tolist()[0] == "CancerEpithelium"  # four names against one
    write_table(table, [("a", "b", "polyline", [(0, 0), (4, 0), (0, 4)])])
    with pytest.raises(DatasetError, match="No column holds class names"):
        _first(folder)
    write_table(table, [("TILsCell", "OtherCell", "polyline", [(0, 0), (4, 0), (0, 4)])])
    with pytest.raises(DatasetError, match="columns raw_group, group hold different classes"):
        _first(folder)
    table.write_text(text.splitlines()[0] + "\n")
    assert len(_first(folder).objects) == 0


def test_missing_files_are_named(tmp_path: Path):
    folder = _manual(tmp_path)
    mask = folder / "masks" / f"{FIRST}.png"
    kept = mask.read_bytes()
    mask.unlink()
    with pytest.raises(DatasetError, match="No mask for TCGA-A1-A0SK"):
        collect(folder, settings=SETTINGS)
    mask.write_bytes(kept)
    table = folder / "csv" / f"{FIRST}.csv"
    table.rename(folder / "csv" / "TCGA-other.csv")
    with pytest.raises(DatasetError, match="No image for TCGA-other"):
        collect(folder, settings=SETTINGS)
    (folder / "csv" / "TCGA-other.csv").unlink()
    with pytest.raises(DatasetError, match="The mask shows nuclei, and there is no table"):
        _first(folder)


def test_two_versions_of_a_tile_are_refused(tmp_path: Path):
    write_panoptils(tmp_path)
    pieces = [tmp_path / "BootstrapNucleiManualRegions_TCGA", tmp_path / "BootstrapNucleiManualRegions_TCGA_1"]
    for name, suffix in (("rgbs", "png"), ("masks", "png"), ("csv", "csv")):
        path = pieces[0] / "tcga" / name / f"{FIRST}.{suffix}"
        (pieces[1] / "tcga" / name / path.name).write_bytes(path.read_bytes())
    with pytest.raises(DatasetError, match="stands in"):
        collect(tmp_path, part="bootstrap", settings=SETTINGS)


def test_another_name_is_refused(tmp_path: Path):
    folder = _manual(tmp_path)
    for name in ("rgbs", "masks"):
        (folder / name / f"{SECOND}.png").rename(folder / name / "tile.png")
    with pytest.raises(DatasetError, match="Not a name of PanopTILs: tile"):
        collect(folder, settings=SETTINGS)


@pytest.mark.parametrize(
    ("mask", "word"),
    [
        (np.dstack([region_codes(), nucleus_codes() + 1, region_codes()]), "channel 1 .nuclei.*10 is not known"),
        (np.dstack([nucleus_codes(), region_codes(), region_codes()]), "channel 0 .regions.*9 is not known"),  # BGR
        (region_codes(), "no RGB picture of 8 bit"),
        (np.dstack([region_codes()[:-1]] * 3), "48 x 47 pixels, its picture 48 x 48"),
    ],
)
def test_masks_that_cannot_be_right_are_refused(tmp_path: Path, mask: np.ndarray, word: str):
    folder = _manual(tmp_path)
    path = folder / "masks" / f"{FIRST}.png"
    Image.fromarray(mask).save(path)
    with pytest.raises(DatasetError, match=word) as caught:
        _first(folder)
    assert path.name in str(caught.value)


def test_a_bomb_is_refused(tmp_path: Path):
    collection = collect(write_panoptils(tmp_path), settings=Settings(max_pixels=100))
    with pytest.raises(LimitError):
        collection.items[0].read()


def test_round_trip(tmp_path: Path):
    dataset = import_dataset("panoptils", write_panoptils(tmp_path), tmp_path / "ds", scheme="super")
    dataset.verify()
    patch = dataset.patch(FIRST)
    assert patch.exhaustive
    assert not dataset.patch(SECOND).exhaustive
    np.testing.assert_array_equal(patch.regions, region_codes())
    assert dataset.objects(FIRST)["class_name"].to_list() == ["Epithelial", "Stromal", None, "TILs"]
    assert dataset.objects(FIRST)["label"].to_list() == [1, None, 3, 4]
    # half a pixel as large: regions and ignore area go along
    half = import_dataset("panoptils", tmp_path, tmp_path / "half", mpp=0.5).patch(FIRST)
    assert half.regions.shape == half.ignore.shape == (SIDE // 2, SIDE // 2)
