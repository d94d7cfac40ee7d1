"""Data sets put together: nothing is lost, classes by a map, groups, licences; and the ready class maps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shapely

from histoseed.annotations import Instances
from histoseed.datasets import (
    IMPORTERS,
    ClassInfo,
    Dataset,
    DatasetInfo,
    DatasetWriter,
    named_classes,
    read_dataset,
)
from histoseed.datasets.mappings import ClassMap, Target, class_maps, losses_of, read_class_map, resolve
from histoseed.datasets.merge import merge_datasets
from histoseed.errors import DatasetError, InputError, OutputError
from histoseed.licences import combined_licence, commercial_use, most_restrictive

IDS = [f"00000000-0000-4000-8000-00000000000{k}" for k in range(10)]
IMAGE = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)


def a_map(**tables: dict) -> ClassMap:
    regions = {name: table.pop("regions", {}) for name, table in tables.items()}
    return ClassMap(name="m", about="", origin=(), lossy=(), objects=tables, regions=regions)


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Dataset]:
    """A function that writes a data set: patch id -> what `DatasetWriter.add` takes."""

    def write(name: str, patches: dict[str, dict], folder: str | None = None, **info: object) -> Dataset:
        path = tmp_path / (folder or name)
        described = {"classes": named_classes(["a", "b", "c"]), "region_classes": named_classes(["area", "rim"])} | info
        with DatasetWriter(path, DatasetInfo(name=name, **described)) as writer:
            for patch_id, given in patches.items():
                facts = {"image": IMAGE} | given
                writer.add(patch_id, facts.pop("image"), facts.pop("objects", None), **facts)
        return read_dataset(path)

    return write


def files_of(dataset: Dataset) -> dict[str, str]:
    folders = ("images", "masks", "regions", "ignore", "probs")
    paths = [p for folder in folders for p in sorted((dataset.path / folder).glob("*"))]
    return {str(p.relative_to(dataset.path)): hashlib.sha256(p.read_bytes()).hexdigest() for p in paths}


def everything() -> dict[str, dict]:
    """Patches with all that the format can hold."""
    labels = np.zeros((20, 30), np.int32)
    labels[2:8, 2:8], labels[10:16, 10:20], labels[2:8, 20:28] = 3, 7, 9
    regions = np.zeros((20, 30), np.uint8)
    regions[:10], regions[10:] = 1, 2
    ignore = np.zeros((20, 30), bool)
    ignore[:, 29] = True
    outlines = Instances.build(
        [shapely.box(1, 1, 9, 9), shapely.box(5, 1, 14, 9), shapely.box(20, 5, 28, 15), shapely.Point(3, 15)],
        kind=["polygon", "polygon", "box", "point"], class_name=["a", "b", "c", "a"], id=IDS[:4],
        score=[0.5, np.nan, 1.0, 0.25], locked=[True, False, False, False], measurements=[{"n": 1.5}, {}, {}, {}],
        source=["me", None, None, None],
    )  # fmt: skip
    area = Instances.build([shapely.box(0, 0, 20, 10)], class_name="rim", id=IDS[4:5])
    unclear = Instances.build([shapely.box(0, 0, 15, 10)], id=IDS[5:6])
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0, 0, 1]], np.float32)
    return {
        "masks": {
            "objects": labels, "class_of": {3: "a", 7: "b", 9: "c"}, "regions": regions, "ignore": ignore,
            "probabilities": probabilities, "mpp": 0.25, "patient": "TCGA-A2-A0ES", "split": "train", "fold": 2,
            "scores": {3: 0.5},
        },
        "outlines": {
            "objects": outlines, "region_outlines": area, "ignore_outlines": unclear, "exhaustive": False,
            "organ": "colon", "x": 5.0, "y": 6.0, "slide": "s1",
        },
    }  # fmt: skip


def test_nothing_is_lost_and_files_are_copied_byte_by_byte(made: Callable[..., Dataset], tmp_path: Path) -> None:
    first, second = made("first", everything()), made("second", {"other": {"centre": "x"}})
    merged = merge_datasets([first, second], tmp_path / "out")
    merged.verify()
    assert files_of(merged) == files_of(first) | files_of(second)
    ids = first.patch_ids
    changed = {"patient", "group"}
    columns = [name for name in first.patches.columns if name not in changed]
    assert merged.patches.filter(pl.col("patch_id").is_in(ids)).select(columns).equals(first.patches.select(columns))
    assert merged.instances.equals(first.instances)
    assert merged.patches["group"].to_list() == ["TCGA-A2-A0ES", "s1", "x"]
    np.testing.assert_array_equal(merged.probabilities("masks"), first.probabilities("masks"))
    assert merged.name == "out"


def test_no_two_classes_of_a_merger_look_alike(made: Callable[..., Dataset], tmp_path: Path) -> None:
    red, also_red = (
        (ClassInfo("a", "#D12000"), ClassInfo("b", "#010203")),
        (ClassInfo("c", "#d12000"), ClassInfo("b", "#111111")),
    )
    first, second = made("first", {"one": {}}, classes=red), made("second", {"two": {}}, classes=also_red)
    merged = {one.name: one.color for one in merge_datasets([first, second], tmp_path / "out").classes}
    assert (merged["a"], merged["b"]) == ("#D12000", "#010203")
    assert merged["c"].lower() not in {"#d12000", "#010203"}


def test_classes_follow_the_map(made: Callable[..., Dataset], tmp_path: Path) -> None:
    colored = (ClassInfo("a", "#010203"), ClassInfo("b", "#040506"), ClassInfo("c", "#070809"))
    first, second = made("first", everything(), classes=colored), made("second", {"other": everything()["masks"]})
    chosen = a_map(
        first={"a": "b", "b": "unclassified", "c": "new", "regions": {"area": "rim", "rim": "core"}},
        second={"a": "a", "b": "b", "c": ""},
    )
    merged = merge_datasets([first, second], tmp_path / "out", class_map=chosen)
    merged.verify()
    assert [c.name for c in merged.classes] == ["b", "new", "a"]
    assert merged.classes[0].color == "#040506"
    assert [c.name for c in merged.info.region_classes] == ["rim", "core", "area"]
    names = merged.instances.filter(pl.col("layer") == "nucleus").select("patch_id", "class_name").rows()
    assert [n for p, n in names if p == "masks"] == ["b", None, "new"]
    assert [n for p, n in names if p == "other"] == ["a", "b", None]
    assert merged.instances.filter(pl.col("layer") == "region")["class_name"].to_list() == ["core"]
    # Region maps are renumbered: area and rim were 1 and 2; now rim, core, area are 1, 2, 3.
    assert merged.patch("masks").regions[[0, 19], 0].tolist() == [1, 2]
    assert merged.patch("other").regions[[0, 19], 0].tolist() == [3, 1]
    # Columns of probabilities: b, new, a. Those of the first came from a, (b left), c; of the second from b, -, a.
    np.testing.assert_allclose(merged.probabilities("masks"), [[0.5, 0.25, 0], [0.1, 0.1, 0], [0, 1, 0]], atol=1e-6)
    np.testing.assert_allclose(merged.probabilities("other"), [[0.25, 0, 0.5], [0.8, 0, 0.1], [0, 0, 0]], atol=1e-6)
    for name in ("images/masks.png", "masks/masks.tif", "ignore/masks.tif"):
        assert (merged.path / name).read_bytes() == (first.path / name).read_bytes()
    notes = " ".join(merged.info.notes)
    assert "Classes of first: a -> b, b -> unclassified, c -> new." in notes
    assert "Region classes of first: area -> rim, rim -> core." in notes


def test_probabilities_of_joined_classes_are_added(made: Callable[..., Dataset], tmp_path: Path) -> None:
    sets = made("first", {"p": everything()["masks"]}), made("second", {"q": {}})
    chosen = a_map(first={"a": "x", "b": "x", "c": "y"}, second={"a": "y", "b": "y", "c": "y"})
    merged = merge_datasets(sets, tmp_path / "out", class_map=chosen)
    np.testing.assert_allclose(merged.probabilities("p"), [[0.75, 0.25], [0.9, 0.1], [0, 1]], atol=1e-6)


def test_dropped_becomes_background_and_ignored_becomes_ignore_area(
    made: Callable[..., Dataset], tmp_path: Path
) -> None:
    first, second = made("first", everything()), made("second", {"other": {}})
    chosen = a_map(
        first={"a": "a", "b": "drop", "c": "ignore", "regions": {"area": "ignore", "rim": "rim"}},
        second={"a": "a", "b": "b", "c": "c"},
    )
    merged = merge_datasets([first, second], tmp_path / "out", class_map=chosen)
    merged.verify()
    patch, before = merged.patch("masks"), first.patch("masks")
    np.testing.assert_array_equal(patch.labels, np.where(before.labels == 3, 3, 0))
    expected = before.ignore | (before.labels == 9)
    expected[:10] = True  # the region
    np.testing.assert_array_equal(patch.ignore, expected)
    np.testing.assert_array_equal(patch.regions, np.where(before.regions == 2, 1, 0))
    np.testing.assert_allclose(merged.probabilities("masks"), [[0.5, 0, 0]])
    rows = merged.objects("masks").select("layer", "kind", "class_name", "label").rows()
    assert rows == [("nucleus", "mask", "a", 3), ("ignore", "polygon", "c", None)]
    shape = shapely.from_wkb(merged.objects("masks")["geometry"][1])
    assert shape.equals(shapely.box(20, 2, 28, 8))
    # Object ids stay.
    assert merged.objects("masks")["instance_id"].to_list() == [
        first.objects("masks").filter(pl.col("label") == label)["instance_id"].item() for label in (3, 9)
    ]
    problems = " ".join(merged.info.known_problems)
    assert "first: 2 objects of classes that the map drops became background." in problems
    assert "first: 2 objects of classes that the map ignores became ignore area." in problems


def test_outlines_that_a_dropped_one_hid_come_to_light(made: Callable[..., Dataset], tmp_path: Path) -> None:
    shapes = [shapely.box(*b) for b in ((0, 0, 10, 10), (3, 3, 5, 5), (6, 3, 8, 5), (6, 3, 8, 5), (2, 0, 12, 10))]
    objects = Instances.build(shapes, class_name=["a", "b", "b", "a", "c"], id=IDS[:5])
    first, second = made("first", {"p": {"objects": objects}}), made("second", {"q": {}})
    assert first.objects("p")["label"].to_list() == [1, None, None, None, 5]
    keep = {"a": "a", "b": "b", "c": "c"}
    merged = merge_datasets([first, second], tmp_path / "out", class_map=a_map(first=keep | {"c": "drop"}, second=keep))
    merged.verify()
    one, other, hidden, top = merged.objects("p")["label"]
    assert one == 1
    assert hidden is None  # the last of two equal outlines lies on top
    assert len({1, 5, other, top}) == 4
    expected = np.zeros((20, 30), np.int32)
    expected[:10, :10] = 1
    expected[3:5, 3:5] = other
    expected[3:5, 6:8] = top
    np.testing.assert_array_equal(merged.patch("p").labels, expected)


def test_a_patch_whose_objects_all_go_has_no_mask(made: Callable[..., Dataset], tmp_path: Path) -> None:
    labels = np.ones((20, 30), np.int32)
    first = made("first", {"p": {"objects": labels, "class_of": {1: "a"}}})
    second = made("second", {"q": {}})
    merged = merge_datasets(
        [first, second], tmp_path / "out",
        class_map=a_map(first={"a": "drop", "b": "b", "c": "c"}, second={"a": "a", "b": "b", "c": "c"}),
    )  # fmt: skip
    merged.verify()
    assert merged.patches["mask"].to_list() == [None, None]
    assert merged.instances.height == 0


def test_boxes_and_points_can_be_ignored(made: Callable[..., Dataset], tmp_path: Path) -> None:
    first, second = made("first", {"p": everything()["outlines"]}), made("second", {"q": {}})
    keep = {"a": "a", "b": "b", "c": "c"}
    chosen = a_map(first={"a": "ignore", "b": "b", "c": "ignore"}, second=keep)
    merged = merge_datasets([first, second], tmp_path / "out", class_map=chosen)
    merged.verify()
    ignore, before = merged.patch("p").ignore, first.patch("p")
    expected = np.asarray(before.ignore).copy()
    expected[5:15, 20:28] = True  # the box
    expected[1:9, 1:9] = (
        True  # the outline below b; where b lies it had no pixel, but the old ignore area reaches there
    )
    np.testing.assert_array_equal(ignore, expected)
    kinds = merged.objects("p").filter(pl.col("layer") == "ignore")["kind"].to_list()
    assert sorted(kinds) == ["box", "point", "polygon", "polygon"]


def test_classes_that_are_not_named_are_all_listed(made: Callable[..., Dataset], tmp_path: Path) -> None:
    first = made("first", {"p": {}}, classes=named_classes(["Neutrophil", "Plasma", "x"]))
    second, third = made("second", {"q": {}}), made("third", {"r": {}})
    chosen = a_map(first={"neutrophil": "n", "Plasm": "p"}, second={"a": "a", "b": "b"})
    with pytest.raises(DatasetError) as error:
        merge_datasets([first, second, third], tmp_path / "out", class_map=chosen)
    for words in (
        "first: 'Plasma' is not named (nearest: 'Plasm')", "first: 'x' is not named", "second: 'c' is not named",
        "no table [third]", "[first] names 'Plasm', which is no class of it (nearest: 'Plasma')",
    ):  # fmt: skip
        assert words in error.value.what
    assert "Neutrophil" not in error.value.what  # case and punctuation do not matter
    assert not (tmp_path / "out").exists()


def test_ids_that_clash_get_the_name_of_their_data_set(made: Callable[..., Dataset], tmp_path: Path) -> None:
    first = made("one set", {"p": everything()["masks"], "q": {}})
    second = made("two", {"P": {"image": 255 - IMAGE}, "r": {}})
    merged = merge_datasets([first, second], tmp_path / "out")
    merged.verify()
    assert merged.patch_ids == ["one-set_p", "q", "two_P", "r"]
    assert (merged.path / "regions" / "one-set_p.tif").is_file()
    assert merged.probabilities("one-set_p") is not None
    assert set(merged.instances["patch_id"]) == {"one-set_p"}
    record = json.loads((merged.path / "merge.json").read_text())
    assert record["renamed"][0] == {"data set": "one set", "patch": "p", "now": "one-set_p"}
    assert any("2 patches got the name of their data set" in note for note in merged.info.notes)
    # Two data sets of one name are numbered.
    same = merge_datasets([first, made("one set", {"p": {}}, "again")], tmp_path / "same")
    assert same.patch_ids == ["one-set_p", "q", "one-set-2_p"]


def test_a_tcga_patient_of_two_sets_is_one_group(made: Callable[..., Dataset], tmp_path: Path) -> None:
    first = made("a", {"p": {"slide": "TCGA-A2-A0ES-01Z-00-DX1", "split": "train"}, "q": {"patient": "7"}})
    second = made("b", {"TCGA-A2-A0ES-DX1_xmin5": {"split": "test"}, "r": {"patient": "7"}})
    third = made("c", {"s": {"slide": "TCGA-A2-A0ES-01Z-00-DX1", "group": "hospital 3"}})
    merged = merge_datasets([first, second, third], tmp_path / "out")
    one = "TCGA-A2-A0ES"
    assert merged.patches["group"].to_list() == [one, "7", one, "7", "hospital 3"]  # a coarser group stays
    assert merged.patches["patient"].to_list() == [one, "7", one, "7", one]
    problems = " ".join(merged.info.known_problems)
    assert "The patient 7 stands in a and b and is taken to be the same" in problems
    assert f"1 group stands in several splits ({one})" in problems
    assert "1 picture stands in several of the data sets" in problems


def test_what_the_data_sets_say_is_said_together(made: Callable[..., Dataset], tmp_path: Path) -> None:
    first = made(
        "a", {"p": {}}, licence="CC-BY-NC-SA-4.0", stain="H&E", citation="A.", known_problems=("Bad.",),
        leakage_notes=("Shares x.",),
    )  # fmt: skip
    second = made("b", {"q": {}}, licence="CC0-1.0", stain="H&E", citation="B.")
    info = merge_datasets([first, second], tmp_path / "out", name="both").info
    assert (info.name, info.stain, info.citation) == ("both", "H&E", "A. B.")
    assert info.licence == "a: CC-BY-NC-SA-4.0; b: CC0-1.0 (together: no commercial use)"
    assert info.known_problems[0] == "a: Bad."
    assert info.leakage_notes == ("a: Shares x.",)
    assert info.notes[0] == "Merged from a (version 1, 1 patch), b (version 1, 1 patch)."


@pytest.mark.parametrize(
    ("text", "use"),
    [
        ("CC-BY-NC-SA-4.0", "no"), ("CC BY-NC 4.0", "no"), ("CC0-1.0", "yes"), ("CC-BY-4.0", "yes"),
        ("CC BY-SA 4.0", "yes"),
        ("Apache-2.0", "yes"), ("non-commercial research only", "no"), (None, "unknown"), ("see the paper", "unknown"),
        ("unconfirmed: the original page is gone, other software states Apache-2.0", "unknown"),
        ("Own terms and conditions, accepted at download", "unknown"),
    ],
)  # fmt: skip
def test_commercial_use(text: str | None, use: str) -> None:
    assert commercial_use(text) == use


def test_commercial_use_agrees_with_the_cards() -> None:
    for importer in IMPORTERS.values():
        if importer.card is not None and importer.card.commercial != "unknown":
            assert commercial_use(importer.card.licence) == importer.card.commercial, importer.name


def test_licences_together() -> None:
    assert most_restrictive(["yes", "unknown", "no"]) == "no"
    assert most_restrictive(["yes", "unknown"]) == "unknown"
    assert combined_licence([("a", None), ("b", "CC0-1.0")]).endswith("(together: commercial use not settled)")
    assert combined_licence([("a", "MIT"), ("b", "CC0-1.0")]).endswith("(together: commercial use allowed)")


def test_extra_columns_are_kept(made: Callable[..., Dataset], tmp_path: Path, edit: Callable) -> None:
    first, second = made("a", {"p": everything()["masks"]}), made("b", {"q": everything()["outlines"]})
    edit(first, "patches", lambda table: table.with_columns(scanner=pl.lit("X")))
    edit(second, "instances", lambda table: table.with_columns(ki67=pl.lit(0.5)))
    merged = merge_datasets([read_dataset(first.path), read_dataset(second.path)], tmp_path / "out")
    assert merged.patches["scanner"].to_list() == ["X", None]
    assert merged.instances["ki67"].null_count() == 3


def test_a_changed_file_is_not_carried_on(made: Callable[..., Dataset], tmp_path: Path) -> None:
    first, second = made("a", {"p": {}}), made("b", {"q": {}})
    (second.path / "images" / "q.png").write_bytes((first.path / "images" / "p.png").read_bytes() + b"x")
    with pytest.raises(DatasetError, match="was changed"):
        merge_datasets([first, second], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _with_slide(dataset: Dataset, content: bytes, edit: Callable) -> Dataset:
    """Its first patch becomes an area of a slide inside the data set."""
    (dataset.path / "slides").mkdir()
    (dataset.path / "slides" / "s.svs").write_bytes(content)
    columns = {"image": pl.lit("slides/s.svs"), "x": pl.lit(0.0), "y": pl.lit(0.0), "sha256": pl.lit(None, pl.String)}
    edit(dataset, "patches", lambda table: table.with_columns(**columns))
    return read_dataset(dataset.path)


def test_slides_inside_a_data_set_are_copied_once(made: Callable[..., Dataset], tmp_path: Path, edit: Callable) -> None:
    first, second, third = (_with_slide(made(n, {n: {}}), c, edit) for n, c in (("a", b"1"), ("b", b"1"), ("c", b"2")))
    merged = merge_datasets([first, second], tmp_path / "out")
    assert merged.patches["image"].to_list() == ["slides/s.svs"] * 2
    assert (merged.path / "slides" / "s.svs").read_bytes() == b"1"
    with pytest.raises(DatasetError, match="another slide"):
        merge_datasets([first, third], tmp_path / "clash")


def test_slides_outside_stay_where_they_are(made: Callable[..., Dataset], tmp_path: Path, edit: Callable) -> None:
    first, second = _with_slide(made("a", {"p": {}}), b"1", edit), made("b", {"q": {}})
    (first.path / "slides").rename(tmp_path / "slides")
    merged = merge_datasets([read_dataset(first.path, slides=tmp_path), second], tmp_path / "out")
    assert not (merged.path / "slides").exists()
    assert read_dataset(merged.path, slides=tmp_path).patches["image"][0] == "slides/s.svs"


def test_refusals(made: Callable[..., Dataset], tmp_path: Path) -> None:
    first, second = made("a", {"p": {}}), made("b", {"q": {}})
    for sets, words in (([first], "two data sets"), ([first, read_dataset(first.path)], "twice")):
        with pytest.raises(InputError, match=words):
            merge_datasets(sets, tmp_path / "out")
    with pytest.raises(OutputError, match="not empty"):
        merge_datasets([first, second], second.path)


def test_equal_inputs_give_equal_bytes(made: Callable[..., Dataset], tmp_path: Path) -> None:
    sets = made("a", everything()), made("b", {"q": {}})
    folders = [merge_datasets(sets, tmp_path / name / "out").path for name in ("one", "two")]
    for path in sorted(folders[0].rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (folders[1] / path.relative_to(folders[0])).read_bytes()


# --- class maps


def test_every_ready_map_fits_the_classes_of_its_data_sets() -> None:
    refused = set()
    for name, chosen in class_maps().items():
        assert chosen.about
        assert chosen.origin
        assert chosen.lossy
        for section, table in chosen.objects.items():
            schemes = IMPORTERS[section].card.schemes
            known = {one for scheme in schemes.values() for one in scheme}
            assert set(table) <= known, (name, section)
            for scheme, classes in schemes.items():
                try:
                    resolve(chosen, [DatasetInfo(name=section, classes=named_classes(classes))])
                except DatasetError:
                    refused.add((name, section, scheme))
    # Super classes cannot be divided again.
    assert refused == {("nucls-main", "nucls", "super"), ("monusac", "nucls", "super")}


@pytest.mark.parametrize(
    ("name", "section", "expected"),
    [
        # specification 9: HoVer-Net's merge of CoNSeP's seven classes to four
        ("consep", "consep", {
            "Other": "Other", "Inflammatory": "Inflammatory", "Healthy epithelial": "Epithelial",
            "Dysplastic or malignant epithelial": "Epithelial", "Fibroblast": "Spindle-shaped",
            "Muscle": "Spindle-shaped", "Endothelial": "Spindle-shaped",
        }),
        # specification 4: raw to super; apoptotic bodies are AMBIGUOUS
        ("nucls-super", "nucls", {
            "tumor": "tumor_any", "mitotic_figure": "tumor_any", "fibroblast": "nonTIL_stromal",
            "vascular_endothelium": "nonTIL_stromal", "macrophage": "nonTIL_stromal", "lymphocyte": "sTIL",
            "plasma_cell": "sTIL", "neutrophil": "other_nucleus", "eosinophil": "other_nucleus",
            "myoepithelium": "other_nucleus", "ductal_epithelium": "other_nucleus", "apoptotic_body": "unclassified",
        }),
        # specification 4: raw to main
        ("nucls-main", "nucls", {
            "tumor": "tumor_nonMitotic", "mitotic_figure": "tumor_mitotic", "fibroblast": "nonTILnonMQ_stromal",
            "vascular_endothelium": "nonTILnonMQ_stromal", "macrophage": "macrophage", "lymphocyte": "lymphocyte",
            "plasma_cell": "plasma_cell", "neutrophil": "other_nucleus", "eosinophil": "other_nucleus",
            "myoepithelium": "other_nucleus", "ductal_epithelium": "other_nucleus", "apoptotic_body": "unclassified",
        }),
        # specification 1: fibroblasts, muscle and endothelium are one class in Lizard; 3: tumour is a class in PanNuke
        ("lizard", "consep", {"Fibroblast": "Connective", "Muscle": "Connective", "Endothelial": "Connective"}),
        ("lizard", "pannuke", {"Neoplastic": "Epithelial", "Epithelial": "Epithelial", "Inflammatory": "unclassified"}),
        ("pannuke", "lizard", {"Epithelial": "unclassified", "Eosinophil": "Inflammatory"}),
        ("monusac", "lizard", {"Connective": "ignore", "Plasma": "unclassified", "Neutrophil": "Neutrophil"}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_ready_maps_say_what_their_sources_say(name: str, section: str, expected: dict[str, str]) -> None:
    table = class_maps()[name].objects[section]
    assert {key: table[key] for key in expected} == expected


def test_the_main_classes_of_nucls_lead_to_the_same_super_class() -> None:
    main, upper = (class_maps()[name].objects["nucls"] for name in ("nucls-main", "nucls-super"))
    for raw, target in main.items():
        if target != "unclassified":
            assert upper[target] == upper[raw], raw


def test_identity_where_a_map_is_named_after_its_data_set() -> None:
    for name in ("pannuke", "lizard", "monusac"):
        table = class_maps()[name].objects[name]
        assert all(key == value for key, value in table.items())


def test_map_files_are_read_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text('about = "x"\n["a b"]\n"1" = "drop"\n"2" = ""\n["a b".regions]\n"r" = "ignore"\n')
    chosen = read_class_map(path)
    info = DatasetInfo(name="a b", classes=named_classes(["1", "2"]), region_classes=named_classes(["r"]))
    resolved = resolve(chosen, [info])[0]
    assert resolved.objects == {"1": Target("drop"), "2": Target("unclassified")}
    assert resolved.regions == {"r": Target("ignore")}
    for text, words in (
        ("[a", "cannot be read"), ("a = 3", "no table"), ("", "names no data set"),
        ('[a]\n"x" = 3', "not a class name"), ('[a]\n"x" = " y"', "not a class name"),
        ('about = 3\n[a]\n"x" = "y"', "'about'"), ("lossy = [1]\n[a]", "'lossy'"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(InputError, match=words):
            read_class_map(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="cannot be read"):
        read_class_map(path)
    path.write_text("#" * 1_000_001)
    with pytest.raises(InputError, match="too large"):
        read_class_map(path)
    with pytest.raises(InputError, match="Did you mean 'common'"):
        read_class_map("comon")


def test_a_table_holds_for_parts_of_its_data_set_too() -> None:
    info = DatasetInfo(name="NuCLS evaluation", classes=named_classes(["Tumor_NonMitotic"]))
    assert resolve(class_maps()["common"], [info])[0].objects == {"Tumor_NonMitotic": Target("class", "Epithelial")}
    with pytest.raises(DatasetError, match=r"no table \[nuclsx\]"):
        resolve(class_maps()["common"], [DatasetInfo(name="nuclsx", classes=named_classes(["tumor"]))])


def info_of(name: str, *classes: str, regions: tuple[str, ...] = ()) -> DatasetInfo:
    return DatasetInfo(name=name, classes=named_classes(classes), region_classes=named_classes(regions))


def test_slips_in_a_map_are_errors_with_the_nearest_name() -> None:
    infos = [info_of("mine", "tumour", "stroma", regions=("fat",)), info_of("nucls evaluation", "tumor")]
    good = {"mine": {"tumour": "t", "stroma": "s", "regions": {"fat": "f"}}, "nucls": {"tumor": "t"}}
    assert resolve(a_map(**{name: dict(table) for name, table in good.items()}), infos)
    for tables, words in (
        ({"mine": good["mine"] | {"tumor ": "t2", "lymphocite": "l"}}, "'lymphocite', which is no class of it."),
        ({"mine": good["mine"] | {"stromal": "s"}}, "'stromal', which is no class of it (nearest: 'stroma')"),
        ({"mine": good["mine"] | {"regions": {"fat": "f", "fatt": "f"}}}, "'fatt', which is no region class of it"),
        ({"nucls": {"Tumor": "t", "TUMOR": "u"}}, "'tumor' is named 2 times"),
        ({"mine": good["mine"] | {"Stroma": "x"}}, "'stroma' is named 2 times ('stroma', 'Stroma')"),
        ({"nucls evalaution": {"tumor": "wrong"}}, "[nucls evalaution] is the name of no data set (nearest: nucls eva"),
    ):
        with pytest.raises(DatasetError) as error:
            resolve(a_map(**{name: dict(table) for name, table in (good | tables).items()}), infos)
        assert words in f"{error.value.what}.", words


def test_names_of_other_schemes_and_other_data_sets_are_no_slips(made: Callable[..., Dataset], tmp_path: Path) -> None:
    """A map may serve data sets that are not merged now; what is not known is said."""
    first, second = made("lab a", {"p": {}}), made("nucls", {"q": {}}, classes=named_classes(["tumor"]))
    keep = {"a": "a", "b": "b", "c": "c"}
    chosen = a_map(
        **{"lab a": keep, "lab c": {"x": "y"}, "nucls": {"tumor": "a", "sTIL": "b"}, "lizard": {"Plasma": "c"}}
    )
    notes = merge_datasets([first, second], tmp_path / "out", class_map=chosen).info.notes
    assert "The class map has tables of other data sets: [lab c]." in notes


def test_ready_maps_name_classes_of_their_data_sets_only() -> None:
    for ready in class_maps().values():
        for section, table in ready.objects.items():
            card = IMPORTERS[section].card
            assert set(table) <= {name for classes in card.schemes.values() for name in classes}, (ready.name, section)
            assert resolve(ready, [info_of(section, *next(iter(card.schemes.values())))])


def test_a_data_set_without_classes_needs_no_table(made: Callable[..., Dataset], tmp_path: Path) -> None:
    bare = made("bare", {"p": {"objects": everything()["masks"]["objects"]}}, classes=())
    merged = merge_datasets(
        [bare, made("second", {"q": {}})], tmp_path / "out", class_map=a_map(second={"a": "a", "b": "b", "c": "c"})
    )
    assert merged.objects("p")["class_name"].to_list() == [None] * 3
    assert [c.name for c in merged.info.region_classes] == ["area", "rim"]


@pytest.mark.parametrize("key", ["unclassified", ""])
@pytest.mark.parametrize("target", ["drop", "ignore", "cell", "unclassified"])
def test_objects_without_a_class_follow_the_map(
    made: Callable[..., Dataset], tmp_path: Path, key: str, target: str
) -> None:
    given = {"objects": everything()["masks"]["objects"], "class_of": {3: "a", 7: None, 9: None}}
    first, second = made("first", {"p": given}), made("second", {"q": {}})
    keep = {"a": "a", "b": "b", "c": "c"}
    chosen = a_map(first=keep | {key: target}, second=dict(keep))
    merged = merge_datasets([first, second], tmp_path / "out", class_map=chosen)
    merged.verify()
    objects = merged.objects("p").filter(pl.col("layer") == "nucleus")
    patch, before = merged.patch("p"), first.patch("p")
    if target in {"drop", "ignore"}:
        assert objects["label"].to_list() == [3]
        np.testing.assert_array_equal(patch.labels, np.where(before.labels == 3, 3, 0))
        assert (patch.ignore is None) == (target == "drop")
        assert target == "drop" or np.array_equal(patch.ignore, before.labels > 3)
    else:
        name = None if target == "unclassified" else target
        assert objects["class_name"].to_list() == ["a", name, name]
        np.testing.assert_array_equal(patch.labels, before.labels)
    assert [c.name for c in merged.classes] == ["a", "b", "c", *(["cell"] if target == "cell" else [])]
    notes = " ".join(merged.info.notes)
    assert (f"unclassified -> {target}" in notes) == (target != "unclassified")
    record = json.loads((merged.path / "merge.json").read_text())["sources"]
    assert record[0]["unclassified"] == list(Target.of(target))


def test_a_class_that_is_called_unclassified_is_a_class() -> None:
    resolved = resolve(a_map(x={"unclassified": "drop"}), [info_of("x", "unclassified")])[0]
    assert resolved.objects == {"unclassified": Target("drop")}
    assert resolved.unclassified == Target("unclassified")


@pytest.mark.parametrize("target", ["Drop", "ignor", "unclasified", "Ignore*", "dropp"])
def test_a_target_that_is_nearly_a_word_is_refused(tmp_path: Path, target: str) -> None:
    path = tmp_path / "my.toml"
    path.write_text(f'[a]\n"x" = "{target}"\n')
    with pytest.raises(InputError, match=r"nearly the word '(drop|ignore|unclassified)'"):
        read_class_map(path)
    path.write_text('[a]\n"x" = "classified"\n"y" = "crop"\n')
    assert read_class_map(path).objects["a"] == {"x": "classified", "y": "crop"}


def test_classes_that_are_nearly_alike_are_told(made: Callable[..., Dataset], tmp_path: Path) -> None:
    first = made("first", {"p": {}}, classes=named_classes(["tumor", "non-tumor"]))
    second = made("second", {"q": {}}, classes=named_classes(["Tumour", "stroma"]))
    notes = [note for note in merge_datasets([first, second], tmp_path / "out").info.notes if "nearly alike" in note]
    assert notes == ["The classes 'Tumour' and 'tumor' are nearly alike and stay two; a class map can join them."]


def test_only_losses_of_the_data_sets_at_hand_are_told() -> None:
    common = class_maps()["common"]
    said = losses_of(common, [info_of("pannuke"), info_of("lizard")])
    assert said == [text for text in common.lossy if not text.startswith(("NuCLS", "CoNSeP"))]
    assert len(said) < len(common.lossy) == len(losses_of(common, [info_of(name) for name in common.objects]))
