"""``convert``: from every format to every other, out of data sets, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
import tifffile
from PIL import Image

from histoseed.annotations import Instances, labels_from_instances, read_geojson, read_label_image, write_geojson
from histoseed.annotations.formats import FORMATS, AnnotatedImage, ReadOptions, WriteOptions
from histoseed.datasets import DatasetInfo, DatasetWriter, named_classes, read_dataset
from histoseed.errors import AnnotationError, InputError, LimitError, OutputError
from histoseed.settings import Settings
from histoseed.workflows.convert import convert

READ = ReadOptions(settings=Settings())
IDS = [f"5e1f6a52-3d0f-4f5c-9d3e-0a8f6a0d7c{i:02d}" for i in range(9)]


def table() -> Instances:
    """Objects along pixel edges that do not overlap, so that every format draws or holds the outlines."""
    ring = shapely.box(2, 3, 12, 13) - shapely.box(5, 6, 8, 9)
    return Instances.build(
        [ring, shapely.box(20, 2, 26, 9)], class_name=["tumour", "stroma"], id=IDS[:2], colors={"tumour": "#c80000"}
    )


@pytest.fixture
def outlines(tmp_path: Path) -> Path:
    write_geojson(tmp_path / "case.geojson", table())
    return tmp_path / "case.geojson"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.full((30, 40, 3), 200, np.uint8)
    pixels[3, 5] = (1, 2, 3)
    path = tmp_path / "case.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", resolution=(40_000, 40_000), resolutionunit="CENTIMETER")
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_there_and_back(tmp_path: Path, outlines: Path, name: str) -> None:
    form = FORMATS[name]
    middle = tmp_path / f"middle{form.file_suffix}"
    there = convert(outlines, middle, out_format=name, size=(40, 30))
    back = convert(middle, tmp_path / "back.geojson", size=(40, 30))
    assert (there["from"], there["to"], back["from"], back["to"]) == ("geojson", name, name, "geojson")
    assert there["objects"] == back["objects"] == 2
    assert any("classes" in sentence for sentence in there["losses"]) == ("class" not in form.holds)
    found, _ = read_geojson(tmp_path / "back.geojson")
    wanted, _ = labels_from_instances(table(), (30, 40))
    np.testing.assert_array_equal(labels_from_instances(found, (30, 40))[0] > 0, wanted > 0)
    if "class" in form.holds:
        assert sorted(found.classes()) == ["stroma", "tumour"]
    if "id" in form.holds:
        assert set(found.id) == set(IDS[:2])


def test_the_image_gives_size_name_and_resolution(tmp_path: Path, outlines: Path, picture: Path) -> None:
    facts = convert(outlines, tmp_path / "a.json", out_format="coco", image=picture)
    row = facts["images"][0]
    assert (row["name"], row["width"], row["height"], row["mpp"]) == ("case.tif", 40, 30, pytest.approx(0.25))
    assert (row["objects"], row["polygons"], row["boxes"], row["points"]) == (2, 2, 0, 0)
    assert (row["classes"], row["unclassified"]) == ({"stroma": 1, "tumour": 1}, 0)
    assert row["file"] == str(tmp_path / "a.json")
    image = FORMATS["coco"].read(tmp_path / "a.json", READ)[0][0]
    assert (image.name, image.size, image.mpp) == ("case.tif", (40, 30), pytest.approx(0.25))


def test_the_pixels_of_the_image_go_to_the_pairs(tmp_path: Path, outlines: Path, picture: Path) -> None:
    facts = convert(outlines, tmp_path / "pairs", out_format="stardist", image=picture)
    image = tifffile.imread(tmp_path / "pairs" / "images" / "case.tif")
    np.testing.assert_array_equal(image, tifffile.imread(picture))
    assert not any("not at hand" in sentence for sentence in facts["losses"])
    assert "stardist: the microns per pixel of 1 image are not kept." in facts["losses"]


def test_cytomine_is_turned_over(tmp_path: Path) -> None:
    (tmp_path / "terms.json").write_text('{"17": "tumour"}')
    record = {"id": 1, "location": "POLYGON((2 20, 6 20, 6 28, 2 28, 2 20))", "term": [17]}
    (tmp_path / "a.json").write_text(json.dumps([record]))
    out = tmp_path / "a.geojson"
    with pytest.raises(AnnotationError, match="--size W,H or --image"):
        convert(tmp_path / "a.json", out, source_format="cytomine")
    facts = convert(tmp_path / "a.json", out, size=(40, 30), classes=tmp_path / "terms.json")
    assert facts["images"][0]["classes"] == {"tumour": 1}
    assert read_geojson(out)[0].bounds().tolist() == [[2, 2, 6, 10]]


def test_keys_of_classes_that_stand_for_nothing_are_told(tmp_path: Path) -> None:
    labels = np.zeros((30, 40), np.uint8)
    labels[2:9, 2:9], labels[12:20, 12:20] = 1, 2
    np.save(tmp_path / "a.npy", labels)
    classes = tmp_path / "classes.json"
    classes.write_text('{"1": "tumour", "2": "stroma", "7": "fat", "9": "ink"}')
    facts = convert(tmp_path / "a.npy", tmp_path / "a.geojson", classes=classes)
    assert facts["images"][0]["classes"] == {"tumour": 1, "stroma": 1}
    assert facts["notes"] == ["No object is of the keys 7, 9 of --classes."]
    classes.write_text('{"11": "tumour"}')
    with pytest.raises(InputError, match=r"No object is of the key 11\..*Its objects have no class"):
        convert(tmp_path / "a.npy", tmp_path / "b.geojson", classes=classes)
    assert not (tmp_path / "b.geojson").exists()
    classes.write_text('{"11": "ink"}')
    with pytest.raises(InputError, match=r"No object is of the key 11\..*Its classes are stroma, tumour"):
        convert(tmp_path / "a.geojson", tmp_path / "b.geojson", classes=classes)
    np.save(tmp_path / "empty.npy", 0 * labels)
    assert convert(tmp_path / "empty.npy", tmp_path / "b.geojson", classes=classes)["objects"] == 0


def test_classes_number_what_is_written(tmp_path: Path, outlines: Path) -> None:
    (tmp_path / "classes.json").write_text('{"5": "stroma", "9": "stroma", "2": "tumour"}')
    convert(outlines, tmp_path / "a.json", out_format="coco", size=(40, 30), classes=tmp_path / "classes.json")
    categories = json.loads((tmp_path / "a.json").read_text())["categories"]
    assert {one["name"]: one["id"] for one in categories} == {"stroma": 5, "tumour": 2}


def drawn_boxes(path: Path, *, regions: int = 0) -> Path:
    """Five rectangles and a round outline as QuPath writes them, in rectangles that mark regions."""
    shapes = [shapely.box(x, 2, x + 4, 9) for x in range(1, 30, 6)] + [shapely.Point(20, 20).buffer(5)]
    names = ["cell"] * 6 + ["Region*"] * regions
    write_geojson(
        path, Instances.build([*shapes, *[shapely.box(0, 0, 40, 30 - k) for k in range(regions)]], class_name=names)
    )
    return path


def test_rectangles_are_told_and_become_boxes_when_asked(tmp_path: Path) -> None:
    source = drawn_boxes(tmp_path / "a.geojson", regions=2)
    facts = convert(source, tmp_path / "a.xml", out_format="asap")
    assert facts["notes"] == [
        "5 of 6 outlines are upright rectangles and count as outlines: if they are boxes around objects, say --boxes."
    ]
    assert (facts["images"][0]["polygons"], facts["images"][0]["boxes"]) == (8, 0)
    facts = convert(source, tmp_path / "b.xml", out_format="asap", boxes=True)
    assert facts["notes"] == []
    assert (facts["images"][0]["polygons"], facts["images"][0]["boxes"]) == (3, 5)  # regions stay outlines
    back = convert(tmp_path / "b.xml", tmp_path / "b.geojson")
    assert (back["notes"], back["images"][0]["boxes"]) == ([], 5)  # from ASAP's rectangles, and in histoseed's GeoJSON
    assert (read_geojson(tmp_path / "b.geojson")[0].kind == "box").sum() == 5


def test_boxes_in_vain_are_told_and_masks_are_no_boxes(tmp_path: Path) -> None:
    write_geojson(tmp_path / "a.geojson", Instances.build([shapely.Point(9, 9).buffer(5)]))
    facts = convert(tmp_path / "a.geojson", tmp_path / "b.xml", out_format="asap", boxes=True)
    assert facts["notes"] == ["No outline is an upright rectangle, so that --boxes changes nothing."]
    np.save(tmp_path / "a.npy", np.pad(np.ones((5, 5), np.uint8), 3))
    assert convert(tmp_path / "a.npy", tmp_path / "c.geojson")["notes"] == []


CORNERS = [(1, 2), (9, 2), (9, 7), (1, 7)]
ASAP = f"""<ASAP_Annotations><Annotations><Annotation Name="a" Type="Rectangle"><Coordinates>
{"".join(f'<Coordinate Order="{k}" X="{x}" Y="{y}"/>' for k, (x, y) in enumerate(CORNERS))}
</Coordinates></Annotation></Annotations></ASAP_Annotations>"""
APERIO = f"""<Annotations><Annotation Id="1"><Regions><Region Id="1" Type="1"><Vertices>
{"".join(f'<Vertex X="{x}" Y="{y}"/>' for x, y in CORNERS)}
</Vertices></Region></Regions></Annotation></Annotations>"""
COCO = {
    "images": [{"id": 1, "file_name": "c.png", "width": 40, "height": 30}],
    "categories": [{"id": 1, "name": "a"}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 5]}],
}
LABELME = {
    "version": "5.0",
    "imagePath": "d.png",
    "imageWidth": 40,
    "imageHeight": 30,
    "shapes": [{"label": "a", "shape_type": "rectangle", "points": [[1, 2], [9, 7]]}],
}


@pytest.mark.parametrize(
    ("name", "text"),
    [("a.xml", ASAP), ("b.xml", APERIO), ("c.json", json.dumps(COCO)), ("d.json", json.dumps(LABELME))],
)
def test_rectangles_of_other_programs_are_boxes(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    facts = convert(tmp_path / name, tmp_path / "out.geojson")
    found, _ = read_geojson(tmp_path / "out.geojson")
    assert (facts["notes"], found.kind.tolist(), found.bounds().tolist()) == ([], ["box"], [[1, 2, 9, 7]])


def test_objects_beyond_the_image_are_told(tmp_path: Path, outlines: Path) -> None:
    facts = convert(outlines, tmp_path / "a.json", out_format="labelme", size=(20, 30))
    assert facts["notes"] == ["1 object reaches out of its image; is it the right one?"]


# Several images


def coco(path: Path, *names: str) -> Path:
    images = [AnnotatedImage(name, (40, 30), table(), 0.5) for name in names]
    FORMATS["coco"].write(path, images, WriteOptions())
    return path


def test_many_images_become_a_folder_of_files(tmp_path: Path) -> None:
    source = coco(tmp_path / "a.json", "x/one.png", "y/one.png", "two.tif")
    facts = convert(source, tmp_path / "out", out_format="geojson")
    names = ["two.geojson", "x_one.geojson", "y_one.geojson"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert [Path(row["file"]).name for row in facts["images"]] == [names[1], names[2], names[0]]
    assert facts["objects"] == 6
    facts = convert(tmp_path / "out", tmp_path / "b.json", out_format="coco", size=(40, 30))
    assert (facts["from"], [row["name"] for row in facts["images"]]) == ("geojson", ["two", "x_one", "y_one"])
    images = FORMATS["coco"].read(tmp_path / "b.json", READ)[0]
    assert all(sorted(image.instances.id) == IDS[:2] for image in images)


def test_losses_of_many_files_are_summed_up(tmp_path: Path) -> None:
    facts = convert(coco(tmp_path / "a.json", "a", "b", "c"), tmp_path / "out", out_format="labels")
    assert facts["losses"] == [
        "labels: the classes of 6 objects are not kept.",
        "labels: 3 class colours are not kept.",
        "labels: the ids of 6 objects are not kept.",
        "labels: the microns per pixel of 3 images are not kept.",
    ]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.tif", "b.tif", "c.tif"]


def test_one_file_cannot_take_many_images(tmp_path: Path) -> None:
    source = coco(tmp_path / "a.json", "a", "b")
    for out, form in (("b.geojson", None), ("b.json", "labelme")):
        with pytest.raises(InputError, match="holds one image"):
            convert(source, tmp_path / out, out_format=form)
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_the_one_image_of_a_source_of_many_becomes_a_folder_too(tmp_path: Path) -> None:
    source = coco(tmp_path / "a.json", "one.png")
    convert(source, tmp_path / "out", out_format="geojson")
    convert(source, tmp_path / "v1.2", out_format="geojson")
    convert(source, tmp_path / "one.geojson")
    assert (tmp_path / "out" / "one.geojson").read_bytes() == (tmp_path / "one.geojson").read_bytes()
    assert (tmp_path / "v1.2" / "one.geojson").is_file()


def test_a_folder_of_files_of_one_format(tmp_path: Path, outlines: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    outlines.rename(folder / "b.geojson")
    write_geojson(folder / "a.geojson", table())
    (folder / "notes.txt").write_text("hello")
    (folder / ".hidden").write_text("hello")
    facts = convert(folder, tmp_path / "out", out_format="labelme")
    assert [row["name"] for row in facts["images"]] == ["a", "b"]
    assert facts["notes"] == [f"{folder}: 1 other file was passed over."]
    Image.new("RGB", (4, 4)).save(folder / "a.png")
    with pytest.raises(InputError, match="several formats: geojson, labels"):
        convert(folder, tmp_path / "again", out_format="coco", size=(40, 30))
    facts = convert(folder, tmp_path / "again", out_format="coco", source_format="geojson", size=(40, 30))
    assert facts["notes"] == [f"{folder}: 2 other files were passed over."]


def test_what_many_files_say_is_told_once(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    feature = {"type": "Feature", "geometry": json.loads(shapely.to_geojson(shapely.Point(9, 9).buffer(4)))}
    for name, count in (("a", 2), ("b", 3), ("c", 1)):
        content = {"type": "FeatureCollection", "features": [feature] * count}
        (tmp_path / "in" / f"{name}.geojson").write_text(json.dumps(content))
    facts = convert(tmp_path / "in", tmp_path / "out", out_format="labelme", size=(40, 30))
    assert facts["notes"] == [
        "There is no id; one was made from the outline: 6 features (3 files: a.geojson, b.geojson, c.geojson)."
    ]


def test_folders_without_annotations(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("hello")
    with pytest.raises(InputError, match="holds no annotation file"):
        convert(tmp_path / "in", tmp_path / "a.geojson")
    with pytest.raises(InputError, match="does not look like the format stardist"):
        convert(tmp_path / "in", tmp_path / "a.geojson", source_format="stardist")


def test_real_label_images_through_coco(tmp_path: Path, shared_data: Path) -> None:
    source = shared_data / "nucls_cc0_sample" / "labels"
    convert(source, tmp_path / "a.json", out_format="coco")
    facts = convert(tmp_path / "a.json", tmp_path / "out", out_format="labels")
    assert len(facts["images"]) == len(list(source.glob("*.png"))) > 10
    for path in sorted(source.glob("*.png")):
        before, after = read_label_image(path), read_label_image(tmp_path / "out" / f"{path.stem}.tif")
        _, ranks = np.unique(before, return_inverse=True)
        np.testing.assert_array_equal(ranks.reshape(before.shape), after)


# Data sets


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two patches: outlines that overlap, a box, a point, labels; ignore areas, regions; one is not complete."""
    info = DatasetInfo(
        name="mixed",
        classes=named_classes(["tumour", "stroma"], {"tumour": "#c80000"}),
        region_classes=named_classes(["epithelium"]),
    )
    shapes = [shapely.box(1, 1, 9, 9), shapely.box(5, 5, 12, 12), shapely.box(20, 20, 28, 26), shapely.Point(30.5, 4.5)]
    objects = Instances.build(
        shapes, kind=["polygon", "polygon", "box", "point"], class_name=["tumour", "stroma", "tumour", None], id=IDS[:4]
    )
    ignore = np.zeros((30, 40), bool)
    ignore[25:28, 2:6] = True
    outline = Instances.build([shapely.Polygon([(30, 20), (38.5, 20), (34, 28)])], id=IDS[4:5], class_name="tumour")
    labels = np.zeros((30, 40), np.uint16)
    labels[3:8, 4:9] = 7
    regions = np.ones((30, 40), np.uint8)
    image = np.full((30, 40, 3), 200, np.uint8)
    with DatasetWriter(tmp_path / "data", info) as writer:
        writer.add(
            "a", image, objects, ignore=ignore, ignore_outlines=outline, mpp=0.25, patient="P1", exhaustive=False
        )
        writer.add(
            "b.2",
            image,
            labels,
            class_of={7: "stroma"},
            patient="P2",
            split="train",
            annotator="someone",
            regions=regions,
        )
    return tmp_path / "data"


def test_a_data_set_gives_all_its_objects(tmp_path: Path, data: Path) -> None:
    facts = convert(data, tmp_path / "a.json", out_format="coco")
    assert facts["from"] == "dataset"
    rows = {row["name"]: row for row in facts["images"]}
    assert rows.keys() == {"a.png", "b.2.png"}
    assert (rows["a.png"]["polygons"], rows["a.png"]["boxes"], rows["a.png"]["points"]) == (4, 1, 1)
    assert rows["a.png"]["classes"] == {"Ignore*": 2, "stroma": 1, "tumour": 2}
    assert (rows["a.png"]["mpp"], rows["b.2.png"]["mpp"]) == (0.25, None)
    assert facts["notes"] == [
        "What counts for nothing became 2 objects of class 'Ignore*'.",
        "Not converted: the region map of 1 patch.",
        "1 patch is not annotated completely; the files written do not say so.",
        "The annotator of 1 object is not converted.",
        "What the data set says about its patches is not converted: group, patient, split.",
    ]
    images, _ = FORMATS["coco"].read(tmp_path / "a.json", READ)
    first, second = (image.instances for image in images)
    assert set(IDS[:5]) <= set(first.id)
    rows_of = {object_id: row for row, object_id in enumerate(first.id)}
    assert first.geometry[rows_of[IDS[0]]].equals(shapely.box(1, 1, 9, 9))
    assert first.geometry[rows_of[IDS[1]]].equals(shapely.box(5, 5, 12, 12))
    crowd = first.select(first.class_name == "Ignore*")
    assert sorted(shapely.area(crowd.geometry).tolist()) == [12.0, 34.0]
    assert second.geometry[0].equals(shapely.box(4, 3, 9, 8))
    assert second.id.tolist() == read_dataset(data).instances_of("b.2").id.tolist()
    assert first.colors["tumour"] == "#c80000"


def test_outlines_of_regions_go_where_there_is_no_nucleus(tmp_path: Path) -> None:
    area = Instances.build([shapely.box(0, 0, 20, 10)], class_name="rim", id=IDS[4:5])
    info = DatasetInfo(name="x", region_classes=named_classes(["rim"], {"rim": "#112233"}))
    for name, labels in (("bare", None), ("full", np.ones((30, 40), np.int32))):
        with DatasetWriter(tmp_path / name, info) as writer:
            writer.add("a", np.zeros((30, 40, 3), np.uint8), labels, region_outlines=area)
        facts = convert(tmp_path / name, tmp_path / f"{name}.geojson")
        found, _ = read_geojson(tmp_path / f"{name}.geojson")
        if labels is None:
            assert facts["notes"] == ["No nucleus is annotated: the outlines of regions are converted."]
            assert (found.id.tolist(), found.class_name.tolist()) == ([IDS[4]], ["rim"])
            assert found.colors == {"rim": "#112233"}
        else:
            assert facts["notes"] == ["Not converted: 1 outline of a region."]
            assert found.class_name.tolist() == [None]


def test_a_data_set_becomes_pairs_with_images(tmp_path: Path, data: Path) -> None:
    facts = convert(data, tmp_path / "pairs", out_format="stardist")
    for folder in ("images", "masks"):
        assert sorted(path.name for path in (tmp_path / "pairs" / folder).iterdir()) == ["a.tif", "b.2.tif"]
    mask = tifffile.imread(tmp_path / "pairs" / "masks" / "b.2.tif")
    assert (mask > 0).sum() == 25
    assert "stardist: 1 box is left out." in facts["losses"]
    assert "stardist: 16 pixels are lost where outlines overlap; later ones lie on top." in facts["losses"]


def test_two_conversions_of_a_data_set_are_equal(tmp_path: Path, data: Path) -> None:
    for name in ("x.json", "y.json"):
        convert(data, tmp_path / name, out_format="coco")
    assert (tmp_path / "x.json").read_bytes() == (tmp_path / "y.json").read_bytes()


def test_a_data_set_says_its_sizes_itself(tmp_path: Path, data: Path) -> None:
    with pytest.raises(InputError, match=r"the image 'a\.png' has 40 x 30 pixels, not 41 x 30"):
        convert(data, tmp_path / "a.json", out_format="coco", size=(41, 30))


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source_format": "qupath"}, "--from: There is no annotation format 'qupath'"),
        ({"out_format": "cooc"}, "Did you mean coco"),
        ({"size": (0, 5)}, "--size: An image of 0 x 5"),
        ({"out_format": "coco"}, "--size W,H or --image"),
    ],
)
def test_options_that_are_wrong(tmp_path: Path, outlines: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        convert(outlines, tmp_path / "out.json", **({"out_format": "labelme"} | options))
    assert [path.name for path in tmp_path.iterdir()] == ["case.geojson"]


def test_a_name_that_does_not_tell_the_format(tmp_path: Path, outlines: Path) -> None:
    for out in ("out", "out.json", "out.txt"):
        with pytest.raises(InputError, match="Say --to FORMAT"):
            convert(outlines, tmp_path / out)
    with pytest.raises(InputError, match=r"A geojson file is not called \.txt"):
        convert(outlines, tmp_path / "out.txt", out_format="geojson")


def test_sizes_that_contradict_each_other(tmp_path: Path, outlines: Path, picture: Path) -> None:
    with pytest.raises(InputError, match="--size: The image has 40 x 30 pixels"):
        convert(outlines, tmp_path / "a.json", out_format="coco", image=picture, size=(30, 40))
    source = coco(tmp_path / "a.json", "a.png")
    Image.new("RGB", (41, 30)).save(tmp_path / "other.png")
    with pytest.raises(InputError, match=r"'a\.png' has 40 x 30 pixels, not 41 x 30"):
        convert(source, tmp_path / "b.geojson", image=tmp_path / "other.png")
    two = coco(tmp_path / "two.json", "a.png", "b.png")
    with pytest.raises(InputError, match="There are 2 images in it, and --image names one"):
        convert(two, tmp_path / "out", out_format="geojson", image=picture)


def test_what_is_read_is_never_written_over(tmp_path: Path, outlines: Path, picture: Path) -> None:
    before = outlines.read_bytes()
    with pytest.raises(OutputError, match="is the source"):
        convert(outlines, outlines, overwrite=True)
    with pytest.raises(OutputError, match="holds the source"):
        convert(outlines, tmp_path, out_format="labelme", overwrite=True)
    with pytest.raises(OutputError, match="is the source"):
        convert(outlines, picture, out_format="labels", image=picture, overwrite=True)
    assert outlines.read_bytes() == before


def test_a_folder_is_only_replaced_file_by_file(tmp_path: Path) -> None:
    source = coco(tmp_path / "a.json", "a", "b")
    convert(source, tmp_path / "out", out_format="geojson")
    with pytest.raises(OutputError, match="not empty"):
        convert(source, tmp_path / "out", out_format="geojson")
    convert(source, tmp_path / "out", out_format="geojson", overwrite=True)
    (tmp_path / "out" / "a.png").write_bytes(b"a picture")
    with pytest.raises(OutputError, match=r"1 file in the folder would be lost, among them a\.png"):
        convert(source, tmp_path / "out", out_format="geojson", overwrite=True)
    assert (tmp_path / "out" / "a.png").read_bytes() == b"a picture"


@pytest.mark.parametrize("content", ["[]", "{}", '{"1": 2}', '{"1": ""}', "{"])
def test_class_files_that_are_none(tmp_path: Path, outlines: Path, content: str) -> None:
    (tmp_path / "classes.json").write_text(content)
    with pytest.raises(InputError, match=r"classes\.json"):
        convert(outlines, tmp_path / "a.json", out_format="coco", classes=tmp_path / "classes.json")


def test_a_failure_half_way_leaves_nothing(tmp_path: Path) -> None:
    images = [AnnotatedImage("a", (4, 4), Instances.empty()), AnnotatedImage("b", (50_000, 50_000), Instances.empty())]
    FORMATS["coco"].write(tmp_path / "a.json", images, WriteOptions())
    with pytest.raises(LimitError, match="MAX_PIXELS"):
        convert(tmp_path / "a.json", tmp_path / "out", out_format="labels")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_source_without_images(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"images": [], "annotations": [], "categories": []}')
    with pytest.raises(InputError, match="holds no image"):
        convert(tmp_path / "a.json", tmp_path / "b.geojson")


def test_settings_come_from_the_environment(tmp_path: Path, outlines: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HISTOSEED_MAX_OBJECTS", "1")
    with pytest.raises(LimitError, match="MAX_OBJECTS"):
        convert(outlines, tmp_path / "b.json", out_format="labelme")
