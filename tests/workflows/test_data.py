"""``import`` and ``dataset``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shapely
import tifffile
from PIL import Image

from fixtures.puma import write_puma
from histoseed.annotations import Instances
from histoseed.datasets import (
    IMPORTERS,
    Collection,
    Dataset,
    DatasetInfo,
    Item,
    PatchContent,
    PatchFacts,
    SlideArea,
    import_dataset,
    named_classes,
    read_dataset,
    take_in,
)
from histoseed.errors import DatasetError, InputError, OutputError
from histoseed.pictures.colors import UNCLASSIFIED, rgb
from histoseed.pictures.regions import IGNORED
from histoseed.workflows.data import data_info, data_sheet, import_data, list_importers, split_data
from histoseed.workflows.dataset_pictures import class_objects, legend_of, sheet_patch, summary_line


class Counting:
    """A progress that adds up."""

    def __init__(self) -> None:
        self.total = self.made = 0
        self.ended = False

    def start(self, total: int, unit: str, description: str) -> None:
        self.total += total

    def advance(self, n: int, **facts: float) -> None:
        self.made += n

    def done(self) -> None:
        self.ended = True


def test_every_importer_is_listed_with_its_sources() -> None:
    rows = {row["name"]: row for row in list_importers()}
    assert rows.keys() == IMPORTERS.keys()
    assert rows["geojson"]["sources"] == "IMAGE GEOJSON (or a FOLDER of both)"
    assert all(row["about"].endswith(".") for row in rows.values())


def test_info_counts_what_the_tables_hold(discs: Path) -> None:
    facts = data_info(discs, verify=True)
    objects = pl.read_parquet(discs / "instances.parquet")
    assert facts["patches"] == 4
    assert facts["objects"] == objects.height
    assert sum(facts["classes"].values()) + facts["unclassified"] == objects.height


def test_verify_finds_a_changed_picture(discs: Path) -> None:
    Image.new("RGB", (128, 128), "white").save(discs / "images" / "p1.png")
    data_info(discs)
    with pytest.raises(DatasetError, match=r"p1\.png.*changed"):
        data_info(discs, verify=True)


def test_the_sheet_shows_outlines_in_the_colours_of_the_classes(discs: Path, tmp_path: Path) -> None:
    told = Counting()
    assert data_sheet(discs, tmp_path / "sheet.png", progress=told) == 4
    assert (told.made, told.total, told.ended) == (4, 4, True)
    with Image.open(tmp_path / "sheet.png") as picture:
        seen = {color for _, color in picture.convert("RGB").getcolors(1 << 24)}
    assert {rgb(one.color) for one in read_dataset(discs).classes} <= seen


def test_a_sheet_takes_patches_at_equal_steps(discs: Path, tmp_path: Path) -> None:
    told = Counting()
    assert data_sheet(discs, tmp_path / "sheet.png", limit=2, progress=told) == 2
    assert told.total == 2


def test_a_sheet_replaces_nothing_unasked(discs: Path, tmp_path: Path) -> None:
    path = tmp_path / "sheet.png"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="--overwrite"):
        data_sheet(discs, path)
    assert path.read_bytes() == b"mine"
    data_sheet(discs, path, overwrite=True)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("name", "limit", "error"), [("a.jpg", 4, OutputError), ("a.png", 0, InputError)])
def test_a_sheet_that_makes_no_sense(
    discs: Path, tmp_path: Path, name: str, limit: int, error: type[Exception]
) -> None:
    with pytest.raises(error):
        data_sheet(discs, tmp_path / name, limit=limit)
    assert not (tmp_path / name).exists()


def take(
    path: Path,
    contents: list[PatchContent],
    facts: PatchFacts | None = None,
    source: Path | None = None,
    **info: object,
) -> Dataset:
    """A data set of patches p0, p1, ..."""
    items = [
        Item(patch_id=f"p{i}", read=lambda one=one: one, facts=facts or PatchFacts()) for i, one in enumerate(contents)
    ]
    collection = Collection(info=DatasetInfo(name="taken", **info), items=items)
    return take_in(collection, path, importer="test", source=source, workers=1)


def colors_of(path: Path) -> set[tuple[int, ...]]:
    with Image.open(path) as picture:
        return {color for _, color in picture.convert("RGB").getcolors(1 << 24)}


WHITE = np.full((40, 40, 3), 240, np.uint8)


def test_counts_and_sizes_of_the_picture_are_those_of_the_tables(discs: Path) -> None:
    data = read_dataset(discs)
    found = class_objects(data)
    assert {one.name: one.outlined for one in found} == data.describe()["classes"]
    areas = data.instances.filter(pl.col("class_name") == "odd")["area_px"].to_numpy()
    odd = next(one for one in found if one.name == "odd")
    np.testing.assert_allclose(odd.diameters_um, 0.5 * np.sqrt(4 / np.pi * areas))
    assert not any(len(one.diameters_px) for one in found)


def test_kinds_and_unknown_resolutions_are_told_apart(tmp_path: Path) -> None:
    shapes = [shapely.box(2, 2, 12, 12), shapely.box(20, 2, 30, 12), shapely.Point(5, 30), shapely.Point(25, 30)]
    objects = Instances.build(
        shapes,
        kind=["polygon", "box", "point", "point"],
        class_name=["a", "a", "a", None],
        id=[f"{i}" for i in range(4)],
    )
    data = take(tmp_path / "ds", [PatchContent(image=WHITE, objects=objects)], classes=named_classes(["a", "b"]))
    a, b, none = class_objects(data)
    assert (a.outlined, a.boxes, a.points) == (1, 1, 1)
    assert (b.name, b.total) == ("b", 0)
    assert (none.name, none.color, none.points) == ("unclassified", UNCLASSIFIED, 1)
    assert not len(a.diameters_um)
    np.testing.assert_allclose(a.diameters_px, [np.sqrt(400 / np.pi)])
    assert [key.text for key in legend_of(data, [0])] == ["a", "b", "unclassified"]
    data_sheet(data, tmp_path / "sheet.png")
    assert {rgb(data.classes[0].color), rgb(UNCLASSIFIED)} <= colors_of(tmp_path / "sheet.png")


def test_a_data_set_without_classes_counts_all_objects(tmp_path: Path) -> None:
    labels = np.zeros((40, 40), np.int32)
    labels[5:15, 5:15] = 1
    data = take(tmp_path / "ds", [PatchContent(image=WHITE, objects=labels)], {"mpp": 0.25})
    (one,) = class_objects(data)
    assert (one.name, one.outlined) == ("all objects", 1)
    assert legend_of(data, [0]) == []
    assert data_sheet(data, tmp_path / "sheet.png") == 1


def test_regions_are_drawn_where_there_is_no_object(tmp_path: Path) -> None:
    regions = np.zeros((40, 40), np.uint8)
    regions[5:25, 5:25] = 2
    data = take(
        tmp_path / "ds", [PatchContent(image=WHITE, regions=regions)], region_classes=named_classes(["x", "stroma"])
    )
    legend = legend_of(data, [0])
    assert [(key.text, key.filling) for key in legend] == [("x (region)", "region"), ("stroma (region)", "region")]
    assert [key.color for key in legend] == [one.color for one in data.info.region_classes]
    shown = sheet_patch(data, 0)
    np.testing.assert_array_equal(shown.regions, regions)
    assert shown.region_colors[1] == data.info.region_classes[1].color
    data_sheet(data, tmp_path / "sheet.png")
    assert rgb(data.info.region_classes[1].color) in colors_of(tmp_path / "sheet.png")


def test_nuclei_tissue_and_what_is_ignored_are_drawn_together(tmp_path: Path) -> None:
    regions, ignore = np.zeros((40, 40), np.uint8), np.zeros((40, 40), bool)
    regions[:, 20:], ignore[30:] = 1, True
    labels = np.zeros((40, 40), np.int32)
    labels[4:12, 4:12] = 1
    outline = Instances.build([shapely.box(2, 16, 14, 28)], class_name=["gland"], id=["r"])
    content = PatchContent(image=WHITE, objects=labels, regions=regions, region_outlines=outline, ignore=ignore)
    data = take(tmp_path / "ds", [content, PatchContent(image=WHITE, objects=labels)], {"mpp": 0.25},
                region_classes=named_classes(["fat", "gland"]))  # fmt: skip
    texts = ["fat (region)", "gland (region)", "ignored: counts for nothing"]
    assert [key.text for key in legend_of(data, [0, 1])] == texts
    assert legend_of(data, [1]) == []
    facts = data.describe()
    line = summary_line(facts)
    assert "2 objects, 1 outline of a region, regions in 1 patch, ignored area in 1 patch" in line
    data_sheet(data, tmp_path / "sheet.png")
    found = colors_of(tmp_path / "sheet.png")
    assert {rgb(one.color) for one in data.info.region_classes} | {rgb(UNCLASSIFIED), rgb(IGNORED)} <= found
    # Twelve pixels of the patch are one of the picture: where nothing is annotated, the tissue stays as it was.
    assert (240, 240, 240) in found


def test_tissue_of_puma_is_on_the_sheet(tmp_path: Path) -> None:
    write_puma(tmp_path / "puma")
    data = import_dataset("puma", [tmp_path / "puma"], tmp_path / "ds", workers=1)
    shown = sheet_patch(data, 0)
    assert np.unique(shown.regions).tolist() == np.unique(data.patch(0).regions).tolist() != [0]
    assert len(shown.region_marks) == data.objects(0).filter(pl.col("layer") == "region").height > 0
    named = {key.text.removesuffix(" (region)") for key in legend_of(data, [0]) if key.filling == "region"}
    assert set(shown.region_marks.classes()) <= named
    data_sheet(data, tmp_path / "sheet.png")
    by_name = {one.name: rgb(one.color) for one in data.info.region_classes}
    drawn = {by_name[name] for name in shown.region_marks.classes()}
    assert drawn <= colors_of(tmp_path / "sheet.png")


@pytest.mark.parametrize(
    "shapes",
    [
        [(40, 40)],
        [(8, 2000), (2000, 8), (1, 1), (300, 300)],
        [(2, 3)] * 7,
    ],
)
@pytest.mark.parametrize("classes", [0, 1, 40])
def test_any_shapes_and_any_number_of_classes_make_a_readable_sheet(
    tmp_path: Path, shapes: list[tuple[int, int]], classes: int
) -> None:
    names = [f"class with a rather long name {i}" for i in range(classes)]
    contents = []
    for k, (height, width) in enumerate(shapes):
        # Objects from one pixel to the whole picture, on grey.
        labels = np.zeros((height, width), np.int32)
        labels[: max(1, height // 2), : max(1, width // 2)] = 1
        labels[-1, -1] = 2
        image = np.full((height, width, 3), 60 + 20 * k, np.uint8)
        class_of = {n: names[(k + n) % classes] for n in (1, 2)} if classes else None
        contents.append(PatchContent(image=image, objects=labels, class_of=class_of))
    data = take(tmp_path / "ds", contents, {"mpp": 0.5}, classes=named_classes(names))
    assert len({one.color for one in data.classes}) == classes
    assert data_sheet(data, tmp_path / "sheet.png") == len(shapes)
    with Image.open(tmp_path / "sheet.png") as opened:
        sheet = np.asarray(opened.convert("RGB"))
    assert 800 <= sheet.shape[1] <= 1800
    assert (sheet[:, [0, -1]] == 255).all()  # nothing reaches the edge of the paper
    assert (sheet[[0, -1]] == 255).all()
    used = {data.classes[(k + n) % classes].color for k in range(len(shapes)) for n in (1, 2)} if classes else set()
    found = colors_of(tmp_path / "sheet.png")
    assert {rgb(color) for color in used or {UNCLASSIFIED}} <= found


def test_a_data_set_without_an_object_has_a_sheet(tmp_path: Path) -> None:
    data = take(tmp_path / "ds", [PatchContent(image=WHITE)] * 3, classes=named_classes(["a"]))
    assert legend_of(data, [0]) == []
    assert data_sheet(data, tmp_path / "sheet.png") == 3
    assert "0 objects" in summary_line(data.describe())


def test_sizes_are_named_where_they_differ(tmp_path: Path) -> None:
    same = take(tmp_path / "same", [PatchContent(image=WHITE)] * 2)
    mixed = take(tmp_path / "mixed", [PatchContent(image=WHITE), PatchContent(image=WHITE[:10])])
    assert "px" not in sheet_patch(same, 0).title.replace("um/px", "")
    assert "40 x 10 px" in sheet_patch(mixed, 1).title


@pytest.mark.parametrize("mpp", [None, 0.25])
def test_a_whole_slide_is_drawn_coarsely_with_its_regions(tmp_path: Path, mpp: float | None) -> None:
    pixels = np.full((3000, 6000, 3), 230, np.uint8)
    pixels[:, 3000:] = (120, 60, 130)
    resolution = {"resolution": (1e4 / mpp, 1e4 / mpp), "resolutionunit": "CENTIMETER"} if mpp else {}
    tifffile.imwrite(tmp_path / "slide.tif", pixels, tile=(256, 256), photometric="rgb", **resolution)
    outline = Instances.build([shapely.box(600, 600, 2400, 2400)], class_name="tumour", id=["t"])
    content = PatchContent(image=SlideArea("slide.tif", 6000, 3000), region_outlines=outline)
    facts = PatchFacts(x=0.0, y=0.0, exhaustive=False, **({"mpp": mpp} if mpp else {}))
    data = take(tmp_path / "ds", [content], facts, source=tmp_path, region_classes=named_classes(["tumour"]))
    shown = sheet_patch(data, 0)
    assert shown.image.shape == (512, 1024, 3)
    assert tuple(shown.image[250, 1000]) == pytest.approx((120, 60, 130), abs=2)
    scale = 1024 / 6000
    np.testing.assert_allclose(shown.region_marks.bounds()[0], np.array([600, 600, 2400, 2400]) * scale)
    data_sheet(data, tmp_path / "sheet.png")
    assert rgb(data.info.region_classes[0].color) in colors_of(tmp_path / "sheet.png")
    (tmp_path / "slide.tif").write_bytes(b"II*\0 damaged")
    with pytest.raises(DatasetError, match="slide cannot be read"):
        sheet_patch(data, 0)


def test_a_split_adds_up(discs: Path) -> None:
    facts = split_data(discs, by="slide", fractions=(0.5, 0.5, 0.0), seed=3)
    data = read_dataset(discs)
    for name, row in facts["splits"].items():
        part = data.select(split=name)
        assert (row["patches"], row["objects"]) == (len(part), part.instances.height)
        assert row["units"] == part.patches["slide"].n_unique()
    assert sum(row["objects"] for row in facts["splits"].values()) == data.instances.height


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    """A folder that ``import labels`` reads, with one picture."""
    folder = tmp_path / "source"
    for part, pixels in (("images", np.full((32, 32, 3), 200, np.uint8)), ("labels", np.eye(32, dtype=np.uint8))):
        (folder / part).mkdir(parents=True)
        Image.fromarray(pixels).save(folder / part / "a.png")
    return folder


def test_import_describes_what_it_made(labels: Path, tmp_path: Path) -> None:
    facts = import_data("labels", [labels], tmp_path / "ds", mpp=0.25, stain=None)
    assert (facts["patches"], facts["objects"], facts["mpp"]) == (1, 1, {"0.25": 1})


def test_import_replaces_data_sets_only(labels: Path, tmp_path: Path) -> None:
    import_data("labels", [labels], tmp_path / "ds")
    import_data("labels", [labels], tmp_path / "ds", overwrite=True)
    precious = tmp_path / "home"
    precious.mkdir()
    (precious / "thesis.tex").write_text("ten years")
    with pytest.raises(OutputError, match="no data set"):
        import_data("labels", [labels], precious, overwrite=True)
    assert (precious / "thesis.tex").read_text() == "ten years"


def test_import_never_replaces_its_own_source(labels: Path, tmp_path: Path) -> None:
    import_data("labels", [labels], tmp_path / "ds")
    inside = tmp_path / "ds" / "source"
    labels.rename(inside)
    with pytest.raises(OutputError, match="lies in the folder"):
        import_data("labels", [inside], tmp_path / "ds", overwrite=True)
    assert (inside / "images" / "a.png").is_file()
