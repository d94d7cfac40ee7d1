"""Import of NuCLS: outlines and boxes, classes on three levels, fields of view, raters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shapely
from PIL import Image

from fixtures.nucls import (
    HEADER,
    RATERS,
    ROWS,
    SIZE,
    A,
    B,
    box,
    write_fovs,
    write_multi_rater,
    write_nucls,
    write_picture,
    write_table,
)
from histoseed.datasets.content import PatchContent
from histoseed.datasets.importers import import_dataset
from histoseed.datasets.importers.nucls import CARD, collect
from histoseed.datasets.importers.nucls_classes import CLASS_OF
from histoseed.datasets.intake.content import Collection
from histoseed.errors import DatasetError, HistoseedError, InputError, LimitError
from histoseed.settings import Settings
from histoseed.wording import agreed

SETTINGS = Settings()

# specification 4
LEVELS = {
    "tumor": ("tumor_nonMitotic", "tumor_any"),
    "mitotic_figure": ("tumor_mitotic", "tumor_any"),
    "fibroblast": ("nonTILnonMQ_stromal", "nonTIL_stromal"),
    "vascular_endothelium": ("nonTILnonMQ_stromal", "nonTIL_stromal"),
    "macrophage": ("macrophage", "nonTIL_stromal"),
    "lymphocyte": ("lymphocyte", "sTIL"),
    "plasma_cell": ("plasma_cell", "sTIL"),
    "neutrophil": ("other_nucleus", "other_nucleus"),
    "eosinophil": ("other_nucleus", "other_nucleus"),
    "myoepithelium": ("other_nucleus", "other_nucleus"),
    "ductal_epithelium": ("other_nucleus", "other_nucleus"),
    "apoptotic_body": (None, None),
    "unlabeled": (None, None),
}


def _read(collection: Collection, patch_id: str = A) -> PatchContent:
    return next(item for item in collection.items if item.patch_id == patch_id).read()


def _texts(content: PatchContent) -> dict[str, int]:
    return {remark.text: remark.count for remark in content.remarks}


def test_the_three_levels_of_classes():
    assert {raw: (CLASS_OF["main"][raw], CLASS_OF["super"][raw]) for raw in CLASS_OF["raw"]} == LEVELS
    assert {raw: name for raw, name in CLASS_OF["raw"].items() if raw != name} == {"unlabeled": None}
    assert list(CARD.schemes) == ["raw", "main", "super"]
    assert [len(CARD.schemes[scheme]) for scheme in CARD.schemes] == [12, 7, 4]
    assert all(None not in names for names in CARD.schemes.values())


RAW = ["fibroblast", "fibroblast", None, "tumor", "apoptotic_body", "mitotic_figure", "eosinophil", "macrophage"]
STROMAL, MITOSIS = "nonTILnonMQ_stromal", "tumor_mitotic"
MAIN = [STROMAL, STROMAL, None, "tumor_nonMitotic", None, MITOSIS, "other_nucleus", "macrophage"]
SUPER = ["nonTIL_stromal"] * 2 + [None, "tumor_any", None, "tumor_any", "other_nucleus", "nonTIL_stromal"]


@pytest.mark.parametrize(("scheme", "classes"), [(None, RAW), ("main", MAIN), ("super", SUPER)])
def test_objects_keep_their_kind_and_class(tmp_path: Path, scheme: str | None, classes: list[str | None]):
    collection = collect(write_nucls(tmp_path), scheme=scheme, settings=SETTINGS)
    content = _read(collection)
    objects = content.objects
    # of ten rows the one with two vertices and the box outside the picture are gone
    assert objects.class_name.tolist() == classes
    assert objects.kind.tolist() == ["box", "polygon", "polygon", "polygon", "box", "polygon", "polygon", "polygon"]
    assert set(classes) - {None} <= {c.name for c in collection.info.classes}
    assert objects.geometry[0].equals(shapely.box(5, 6, 20, 18))
    # the open outline is closed, nothing else is done to it
    assert objects.geometry[1].equals(shapely.Polygon(ROWS[1][4]))
    # by type and not by number of points: an upright outline of five points is an outline
    assert objects.geometry[6].equals(shapely.box(30, 30, 40, 38))
    assert objects.bounds()[:, 2].max() == SIZE[0]  # cut at the border
    assert shapely.is_valid(objects.geometry).all()
    assert shapely.area(objects.geometry[5]) == 50  # the bow tie: two triangles of 10 x 5 / 2
    assert set(objects.source) == {"NuCLS single-rater"}
    assert content.annotator is None


def test_what_was_changed_is_said_with_counts(tmp_path: Path):
    said = _texts(_read(collect(write_nucls(tmp_path), settings=SETTINGS)))
    assert said == {
        "{count} {outline|outlines} of less than three different vertices {was|were} left out": 1,
        "{count} {outline that crosses itself was|outlines that cross themselves were} repaired": 1,
        (
            "{count} {outline does not end where it begins and was|"
            "outlines do not end where they begin and were} closed"
        ): 1,
        "{count} {outline is an upright rectangle|outlines are upright rectangles}, which no nucleus is": 1,
        "{count} {object|objects} left the image and {was|were} cut at its border": 1,
        "{count} {object lies|objects lie} outside the image and {was|were} left out": 1,
        (
            "{count} {nucleus has|nuclei have} no class (ambiguous or unlabeled) and "
            "{counts as nucleus|count as nuclei}, not in classification"
        ): 1,
    }


def test_place_groups_and_folds(tmp_path: Path):
    collection = collect(write_nucls(tmp_path), settings=SETTINGS)
    assert [item.patch_id for item in collection.items] == [A, B]
    # left and top are level-0 pixels of the slide and are not mixed with the 0.2 microns of the picture
    assert collection.items[0].facts == {
        "mpp": 0.2,
        "mpp_source": "metadata",
        "x": 7053.0,
        "y": 53967.0,
        "slide": "TCGA-A1-A0SP-DX1",
        "patient": "TCGA-A1-A0SP",
        "centre": "A1",
        "organ": "breast",
        "fold": 2,
    }
    assert collection.items[1].facts["fold"] == 1  # fold_999 is a switch of the authors and not a fold


def test_outside_the_field_of_view_is_ignored_but_for_nuclei_that_reach_out(tmp_path: Path):
    collection = collect(write_nucls(tmp_path), settings=SETTINGS)
    content = _read(collection)
    rows, columns = np.indices((SIZE[1], SIZE[0])) + 0.5
    inside = (columns > 4) & (columns < 70) & (rows > 4) & (rows < 58)
    own = np.zeros_like(inside)
    for geometry in content.objects.geometry:
        own |= shapely.contains_xy(geometry, columns, rows)
    np.testing.assert_array_equal(content.ignore, ~inside & ~own)
    assert not content.ignore[35, 72]  # inside the tumour nucleus, beyond the border at 70
    assert content.ignore[35, 71 - 70]  # left of 4, no nucleus
    # the field of B stands in the table in pixels of its slide: 5 to 55 of 60, 5 to 45 of 50, times 76 / 60 and 63 / 50
    field = ~_read(collection, B).ignore
    assert (field.sum(axis=1).max(), field.sum(axis=0).max()) == (64, 51)


def test_without_a_table_of_fields_nothing_is_ignored(tmp_path: Path):
    folder = write_nucls(tmp_path)
    (folder / "csv" / "ALL_FOV_LOCATIONS.csv").unlink()
    collection = collect(folder, settings=SETTINGS)
    assert _read(collection).ignore is None
    assert ["There is no all_fov_locations.csv" in remark.text for _, remark in collection.remarks] == [True]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (",picture,left,top,right,bottom\n0,x,1,2,3,4\n", "were not understood"),
        (f",fovname,xmin,ymin,xmax,ymax\n0,{A},a,2,3,4\n", "contradictory or no numbers"),
        (f",fovname,xmin,ymin,xmax,ymax\n0,{A},4,4,70,58\n1,{A},4,4,70,57\n", "contradictory or no numbers"),
    ],
)
def test_a_table_of_fields_that_is_not_understood_is_said_and_not_used(tmp_path: Path, table: str, said: str):
    folder = write_nucls(tmp_path)
    (folder / "csv" / "ALL_FOV_LOCATIONS.csv").unlink()
    (folder / "all_fov_locations.csv").write_text(table)  # it may also stand beside csv/
    collection = collect(folder, settings=SETTINGS)
    assert [said in remark.text for _, remark in collection.remarks] == [True]
    assert _read(collection).ignore is None


def test_a_field_outside_its_picture_is_said_and_not_used(tmp_path: Path):
    folder = write_nucls(tmp_path)
    write_fovs(folder / "csv" / "ALL_FOV_LOCATIONS.csv", [(A, 500, 500, 700, 580)])
    content = _read(collect(folder, settings=SETTINGS))
    assert content.ignore is None
    assert any("does not lie in the picture" in text for text in _texts(content))


def test_raters_become_patches_of_one_slide(tmp_path: Path):
    folder = write_multi_rater(tmp_path)
    collection = collect(folder, part="unbiased-control", settings=SETTINGS)
    assert [item.patch_id for item in collection.items] == [f"{rater}_#_U-control_#_{A}" for rater in sorted(RATERS)]
    read = {item.patch_id.partition("_")[0]: item.read() for item in collection.items}
    assert {rater: content.annotator for rater, content in read.items()} == {rater: rater for rater in RATERS}
    assert {rater: len(content.objects) for rater, content in read.items()} == {"SP.3": 2, "NP.1": 1, "NP.2": 0}
    places = {(i.facts["patient"], i.facts["slide"], i.facts["x"], i.facts["y"]) for i in collection.items}
    assert places == {("TCGA-A1-A0SP", "TCGA-A1-A0SP-DX1", 7053.0, 53967.0)}
    assert collection.info.name == "nucls unbiased-control"
    # the fourth picture is of another set
    (fields, pictures), (other, one) = [(remark.text, remark.count) for _, remark in collection.remarks]
    assert (pictures, one) == (3, 1)
    assert agreed(fields, 1) == (
        "There is no all_fov_locations.csv: 1 picture has no field of view, and nothing is ignored around it"
    )
    assert [(other, one)] == [
        ("{count} {picture or table belongs|pictures or tables belong} to another part and {was|were} left out", 1)
    ]
    assert len(collect(folder, part="evaluation", settings=SETTINGS).items) == 1
    ids = [object_id for content in read.values() for object_id in content.objects.id]
    assert len(set(ids)) == 3  # two raters' outlines of one nucleus are two objects


def test_the_part_that_is_there_is_named(tmp_path: Path):
    with pytest.raises(DatasetError, match=r"another part.*--part evaluation"):
        collect(write_multi_rater(tmp_path), settings=SETTINGS)


def test_marks_of_fields_are_no_nuclei(tmp_path: Path):
    rows = [("fov_basic", "", "", "rectangle", box(0, 0, 70, 60)), ROWS[0]]
    write_picture(tmp_path, A, [*rows, ("correction_FOV_reviewed_maha", "", "", "rectangle", box(0, 0, 70, 60))])
    content = _read(collect(tmp_path, settings=SETTINGS))
    assert content.objects.class_name.tolist() == ["fibroblast"]
    text = (
        "{count} {row marks a field of view, is no nucleus and was|"
        "rows mark a field of view, are no nuclei and were} left out"
    )
    assert _texts(content)[text] == 2


def test_the_earlier_release_calls_the_class_group(tmp_path: Path):
    write_picture(tmp_path, A, ROWS[:1])
    table = tmp_path / "csv" / f"{A}.csv"
    text = table.read_text().replace("raw_classification", "group").replace("fibroblast", "correction_fibroblast", 1)
    table.write_text(text)
    assert _read(collect(tmp_path, settings=SETTINGS)).objects.class_name.tolist() == ["fibroblast"]


def test_levels_that_contradict_the_raw_class_are_said(tmp_path: Path):
    write_picture(tmp_path, A, [("lymphocyte", "plasma_cell", "sTIL", "rectangle", box(1, 1, 9, 9))])
    content = _read(collect(tmp_path, scheme="main", settings=SETTINGS))
    assert content.objects.class_name.tolist() == ["lymphocyte"]
    assert _texts(content) == {
        "{count} {nucleus states|nuclei state} a main class that does not follow from the raw class, which counts": 1
    }


def test_a_picture_that_does_not_fit_its_name_is_said(tmp_path: Path):
    write_picture(tmp_path, A, [], size=(76, 80))
    assert list(_texts(_read(collect(tmp_path, settings=SETTINGS)))) == [
        "The picture is not as wide and high as its name says: its place in the slide cannot be right"
    ]


@pytest.mark.parametrize(
    ("change", "error", "word"),
    [
        (lambda f: (f / "csv" / f"{B}.csv").unlink(), DatasetError, "No csv table for TCGA-BH"),
        (lambda f: (f / "rgb" / f"{B}.png").unlink(), DatasetError, "No image for TCGA-BH"),
        (
            lambda f: (f / "rgb" / f"{B}.png").rename(f / "rgb" / "other.png"),
            DatasetError,
            "Not a name of NuCLS: other",
        ),
        (
            lambda f: (f / "train_test_splits" / "fold_2_test.csv").write_text("slide\nx\n"),
            DatasetError,
            "no column 'slide_name'",
        ),
        (
            lambda f: (f / "train_test_splits" / "fold_3_test.csv").write_text("slide_name\nTCGA-A1-A0SP-01Z-00-DX1\n"),
            DatasetError,
            "tested in fold 2 and in fold 3",
        ),
    ],
)
def test_a_folder_that_is_not_complete_is_refused_at_once(
    tmp_path: Path, change, error: type[HistoseedError], word: str
):
    folder = write_nucls(tmp_path)
    change(folder)
    with pytest.raises(error, match=word):
        collect(folder, settings=SETTINGS)


def _row(text: str) -> str:
    return ",".join(HEADER) + "\n" + text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        (_row('0,platypus,x,y,polyline,1,1,2,2,"1,2,3","1,2,1"\n'), r"csv, line 2: There is no class 'platypus'"),
        (_row('0,tumor,tumor_nonMitotic,tumor_any,ellipse,1,1,2,2,"1,2,3","1,2,1"\n'), "line 2: There is no type"),
        (_row('0,tumor,a,b,polyline,1,1,2,2,"1,2,x","1,2,1"\n'), "line 2: The coordinates are no list"),
        (_row('0,tumor,a,b,polyline,1,1,2,2,"1,2,3","1,2"\n'), "3 x and 2 y"),
        (_row('0,tumor,a,b,polyline,1,1,2,2,"1,2,nan","1,2,3"\n'), "no place in a picture"),
        (_row('0,tumor,a,b,polyline,1,1,2,2,"1,2,1e300","1,2,3"\n'), "no place in a picture"),
        (_row("0,tumor,a,b,polyl"), "line 2: The line has 5 fields, the first line 11"),
        (_row('0,tumor,a,b,polyline,1,1,2,2,"1,2'), "csv"),
        ("a,b\n1,2\n", "no column 'raw_classification'"),
    ],
)
def test_a_table_that_cannot_be_read_names_file_and_line(tmp_path: Path, text: str, word: str):
    write_picture(tmp_path, A, [])
    (tmp_path / "csv" / f"{A}.csv").write_text(text)
    with pytest.raises(DatasetError, match=word) as caught:
        _read(collect(tmp_path, settings=SETTINGS))
    assert f"{A}.csv" in str(caught.value)


@pytest.mark.parametrize(
    "limit", [{"max_vertices": 4}, {"max_objects": 5}, {"max_geojson_bytes": 100}, {"max_pixels": 99}]
)
def test_limits_are_kept(tmp_path: Path, limit: dict[str, int]):
    folder = write_nucls(tmp_path)
    (folder / "csv" / "ALL_FOV_LOCATIONS.csv").unlink()
    (folder / "train_test_splits").rename(tmp_path / "away")
    with pytest.raises(LimitError):
        _read(collect(folder, settings=Settings(**limit)))


def test_wrong_options_and_folders(tmp_path: Path):
    folder = write_nucls(tmp_path)
    with pytest.raises(InputError, match="--part"):
        collect(folder, part="multi", settings=SETTINGS)
    with pytest.raises(InputError, match="--classes"):
        collect(folder, scheme="fine", settings=SETTINGS)
    assert len(collect(tmp_path, settings=SETTINGS).items) == 2
    with pytest.raises(DatasetError, match="rgb/"):
        collect(folder / "csv", settings=SETTINGS)
    with pytest.raises(DatasetError, match="no such folder"):
        collect(tmp_path / "nowhere", settings=SETTINGS)
    (tmp_path / "bare" / "rgb").mkdir(parents=True)
    (tmp_path / "bare" / "csv").mkdir()
    with pytest.raises(DatasetError, match="no image"):
        collect(tmp_path / "bare", settings=SETTINGS)


def test_the_folder_of_pictures_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(write_nucls(tmp_path) / "rgb")
    assert len(collect(Path(), settings=SETTINGS).items) == 2


def test_round_trip(tmp_path: Path):
    dataset = import_dataset("nucls", write_nucls(tmp_path), tmp_path / "ds", scheme="main", workers=2)
    dataset.verify()
    rows = dataset.instances
    # boxes are never drawn; unclassified nuclei are drawn and have no class
    assert rows.filter(pl.col("kind") == "box")["label"].to_list() == [None, None]
    assert rows.filter(pl.col("kind") == "polygon")["label"].null_count() == 0
    assert rows["class_name"].null_count() == 2
    patch = dataset.patch(A)
    assert patch.exhaustive
    assert patch.ignore is not None
    assert (patch.ignore > 0).sum() == _read(collect(tmp_path / "QC", settings=SETTINGS)).ignore.sum()
    assert patch.labels[13, 54] > 0  # the unlabeled nucleus
    assert patch.class_ids[patch.labels[13, 54]] == 0
    assert (patch.labels[7:17, 6:19] == 0).all()  # under the first box nothing is drawn
    np.testing.assert_array_equal(patch.image, np.asarray(Image.open(tmp_path / "QC" / "rgb" / f"{A}.png")))


def test_real_outlines_survive_the_table(shared_data: Path, tmp_path: Path):
    """Nuclei of real NuCLS pictures, written as the tables of the release write them, come back pixel for pixel."""
    from histoseed.geometry import label_to_polygons, polygons_to_label

    names = {1: ("lymphocyte", "lymphocyte", "sTIL"), 2: ("tumor", "tumor_nonMitotic", "tumor_any")}
    sample = shared_data / "nucls_cc0_sample"
    for name in ("test_1", "train_3"):
        labels = np.asarray(Image.open(sample / "labels" / f"{name}.png")).astype(np.int32)
        types = np.asarray(Image.open(sample / "types" / f"{name}.png"))
        ids, polygons = label_to_polygons(labels)
        rows, expected = [], np.zeros_like(labels)
        for label, polygon in zip(ids, polygons, strict=True):
            ring = max(shapely.get_parts(polygon), key=shapely.area).exterior
            vertices = shapely.get_coordinates(ring).astype(int).tolist()
            rows.append((*names[int(types[labels == label].max())], "polyline", [tuple(v) for v in vertices]))
            expected[polygons_to_label([shapely.Polygon(ring)], labels.shape) > 0] = len(rows)
        stem = f"TCGA-BH-A0BG-DX1_id-{len(rows):024x}_left-0_top-0_bottom-203_right-203"
        folder = tmp_path / name
        write_picture(folder, stem, [])
        write_table(folder / "csv" / f"{stem}.csv", rows)
        (folder / "rgb" / f"{stem}.png").write_bytes((sample / "images" / f"{name}.png").read_bytes())
        dataset = import_dataset("nucls", folder, folder / "ds")
        dataset.verify()
        np.testing.assert_array_equal(dataset.patch(0).labels, expected)
        assert dataset.instances["class_name"].to_list() == [row[0] for row in rows]
