"""Parallel, interrupted and repeated imports end with the same bytes."""

import hashlib
import json
import threading
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shapely

from histoseed.annotations import Instances
from histoseed.datasets import (
    Collection,
    DatasetInfo,
    Item,
    PatchContent,
    Remark,
    SlideArea,
    named_classes,
    object_ids,
    read_dataset,
    tabulate,
    take_in,
)
from histoseed.errors import DatasetError, InputError, OutputError

INFO = DatasetInfo(name="made", classes=named_classes(["a", "b"]), region_classes=named_classes(["stroma"]))
COUNT = 50


def content(number: int) -> PatchContent:
    rng = np.random.default_rng(number)
    image = rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)
    if number % 10 == 3:
        return PatchContent(image=image)
    if number % 2:
        boxes = [shapely.box(2, 2, 10, 10), shapely.box(6, 6, 12, 12)]
        ids = object_ids("made", f"p{number}", 2)
        return PatchContent(image=image, objects=Instances.build(boxes, class_name=["a", "b"], id=ids))
    labels = np.zeros((24, 32), np.int32)
    labels[3:9, 4:10] = 1
    labels[12:20, 5:9] = 4
    remark = Remark("{count} objects are odd", 1)
    return PatchContent(image=image, objects=labels, class_of={1: "a", 4: None}, remarks=[remark])


def items(count: int = COUNT, files: tuple[Path, ...] = ()) -> list[Item]:
    return [
        Item(patch_id=f"p{i}", read=partial(content, i), files=files, facts={"mpp": 0.25, "patient": f"P{i // 5}"})
        for i in range(count)
    ]


def collection(**changes) -> Collection:
    return Collection(
        **{"info": INFO, "items": items(), "remarks": [("folder", Remark("It is small", kind="note"))]} | changes
    )


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_what_arrives(tmp_path: Path):
    seen: list[tuple[int, int]] = []
    data = take_in(collection(), tmp_path / "ds", importer="made", on_item=lambda *at: seen.append(at))
    data.verify()
    assert data.patch_ids == [f"p{i}" for i in range(COUNT)]
    assert seen[-1] == (COUNT, COUNT)
    # of 25 even patches none is empty; of 25 odd ones the five that end in 3 are; two objects each
    assert data.instances.height == 2 * 25 + 2 * 20
    report = json.loads((tmp_path / "ds" / "import.json").read_text())
    assert (report["images"], report["empty_images"], report["objects_total"]) == (COUNT, 5, 90)
    assert report["objects"] == [
        {"class": "a", "kind": "mask", "objects": 25},
        {"class": "a", "kind": "polygon", "objects": 20},
        {"class": "b", "kind": "polygon", "objects": 20},
        {"class": None, "kind": "mask", "objects": 25},
    ]
    assert report["lost_to_overlaps"] == {"pixels": 20 * 16, "objects": 0, "images": 20}
    assert report["groups"]["patient"] == 10
    assert "25 objects are odd (25 images: p0, p2, p4 and 22 more)." in report["warnings"]
    assert "It is small (1 file: folder)." in data.info.notes
    assert not list(tmp_path.glob(".*"))


def test_any_number_of_threads_gives_the_same_bytes(tmp_path: Path):
    for workers in (1, 3):
        take_in(collection(), tmp_path / str(workers), importer="made", workers=workers)
    assert digests(tmp_path / "1") == digests(tmp_path / "3")


def test_an_interrupted_import_goes_on_to_the_same_bytes(tmp_path: Path):
    take_in(collection(), tmp_path / "whole", importer="made")
    read: list[int] = []
    lock = threading.Lock()

    def counted(number: int, fail: bool) -> PatchContent:
        with lock:
            read.append(number)
        if fail and number == 40:
            raise KeyboardInterrupt
        return content(number)

    def run(*, fail: bool) -> None:
        made = [Item(patch_id=f"p{i}", read=partial(counted, i, fail), facts=items()[i].facts) for i in range(COUNT)]
        take_in(collection(items=made), tmp_path / "ds", importer="made", workers=1)

    with pytest.raises(KeyboardInterrupt):
        run(fail=True)
    assert not (tmp_path / "ds").exists()
    first = len(read)
    run(fail=False)
    assert len(read) - first == COUNT - 32  # two units of 16 were finished
    assert digests(tmp_path / "ds") == digests(tmp_path / "whole")
    assert not list(tmp_path.glob(".*"))


def test_a_damaged_unit_is_done_again(tmp_path: Path):
    def failing(number: int) -> PatchContent:
        raise DatasetError("broken") if number == 49 else KeyError(number)

    bad = [*items()[:49], Item(patch_id="p49", read=partial(failing, 49), facts=items()[49].facts)]
    with pytest.raises(DatasetError, match="broken"):
        take_in(collection(items=bad), tmp_path / "ds", importer="made", workers=1)
    stage = tmp_path / ".ds.importing"
    (stage / "images" / "p3.png").write_bytes(b"cut off")
    (stage / "units" / "000001.json").write_text("{")
    take_in(collection(), tmp_path / "ds", importer="made")
    take_in(collection(), tmp_path / "whole", importer="made")
    assert digests(tmp_path / "ds") == digests(tmp_path / "whole")


def test_a_changed_source_file_is_read_again(tmp_path: Path):
    source = tmp_path / "source.bin"
    source.write_bytes(b"1")
    shade = 10

    def shaded() -> PatchContent:
        return PatchContent(image=np.full((8, 8, 3), shade, np.uint8))

    def broken() -> PatchContent:
        raise InputError("not yet")

    many = [Item(patch_id=f"q{i}", read=shaded, files=[source]) for i in range(16)]
    with pytest.raises(InputError):
        take_in(collection(items=[*many, Item(patch_id="z", read=broken)]), tmp_path / "ds", importer="made", workers=1)
    shade = 99
    source.write_bytes(b"22")
    data = take_in(collection(items=[*many, Item(patch_id="z", read=shaded)]), tmp_path / "ds", importer="made")
    assert {int(patch.image[0, 0, 0]) for patch in data} == {99}


def test_nothing_is_left_behind_where_nothing_was_read(tmp_path: Path):
    def broken() -> PatchContent:
        raise InputError("no")

    with pytest.raises(InputError):
        take_in(collection(items=[Item(patch_id="z", read=broken)]), tmp_path / "ds", importer="made")
    assert list(tmp_path.iterdir()) == []


def test_other_options_are_another_import(tmp_path: Path):
    def broken() -> PatchContent:
        raise InputError("no")

    bad = [*items(32), Item(patch_id="z", read=broken)]
    with pytest.raises(InputError):
        take_in(collection(items=bad), tmp_path / "ds", importer="made", workers=1)
    data = take_in(collection(items=items(2)), tmp_path / "ds", importer="made", mpp=0.5)
    assert data.patch("p0").image.shape == (12, 16, 3)


def test_a_folder_in_the_way_is_kept(tmp_path: Path):
    (tmp_path / ".ds.importing").mkdir()
    (tmp_path / ".ds.importing" / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="in the way"):
        take_in(collection(), tmp_path / "ds", importer="made")
    assert (tmp_path / ".ds.importing" / "mine.txt").read_text() == "x"
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match="not empty"):
        take_in(collection(), tmp_path / "full", importer="made")


def test_patch_ids_and_classes_are_checked(tmp_path: Path):
    twice = [Item(patch_id=name, read=partial(content, 0)) for name in ("A", "a")]
    with pytest.raises(DatasetError, match="Two images would become the patch 'a'"):
        take_in(collection(items=twice), tmp_path / "ds", importer="made")
    with pytest.raises(DatasetError, match="'a' is not a class"):
        take_in(collection(info=DatasetInfo(name="x")), tmp_path / "ds", importer="made")
    with pytest.raises(DatasetError, match="nothing to import"):
        take_in(collection(items=[]), tmp_path / "ds", importer="made")
    with pytest.raises(InputError, match="--mpp"):
        take_in(collection(), tmp_path / "ds", importer="made", mpp=0.0)
    opened = take_in(collection(info=DatasetInfo(name="x"), open_classes=True), tmp_path / "ds", importer="made")
    assert [c.name for c in opened.classes] == ["a", "b"]


def test_tables_alone_equal_those_of_the_data_set(tmp_path: Path):
    tables = tabulate(collection())
    data = take_in(collection(), tmp_path / "ds", importer="made")
    assert tables.instances.equals(data.instances)
    columns = ["patch_id", "width", "height", "mpp", "group", "mask"]
    assert tables.patches.select(columns).equals(data.patches.select(columns))
    assert (tables.losses.pixels, tables.losses.objects) == (320, 0)


def test_an_area_of_a_slide_is_not_copied(tmp_path: Path):
    from PIL import Image

    slides = tmp_path / "slides"
    slides.mkdir()
    Image.fromarray(np.full((40, 60, 3), 200, np.uint8)).save(slides / "s.png")
    outline = Instances.build([shapely.box(5, 5, 20, 20)], class_name="stroma", id=object_ids("made", "s", 1))

    def read() -> PatchContent:
        return PatchContent(image=SlideArea("s.png", 60, 40), region_outlines=outline)

    item = Item(patch_id="s", read=read, facts={"x": 0.0, "y": 0.0, "mpp": 0.25, "slide": "s"})
    data = take_in(collection(items=[item]), tmp_path / "ds", importer="made", source=slides)
    assert data.patches["image"].to_list() == ["s.png"]
    assert data.patch("s").image.shape == (40, 60, 3)
    row = data.instances.row(0, named=True)
    assert (row["layer"], row["class_name"], row["area_px"]) == ("region", "stroma", 225.0)
    with pytest.raises(DatasetError):
        read_dataset(tmp_path / "ds")
    drawn = Item(
        patch_id="s",
        read=lambda: PatchContent(image=SlideArea("s.png", 60, 40), objects=np.zeros((40, 60), np.int32)),
        facts={"x": 0.0, "y": 0.0},
    )
    with pytest.raises(DatasetError, match="cannot be drawn"):
        take_in(collection(items=[drawn]), tmp_path / "other", importer="made")


def test_a_unit_of_an_older_version_is_not_taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def broken() -> PatchContent:
        raise InputError("no")

    bad = [*items(32), Item(patch_id="z", read=broken)]
    with pytest.raises(InputError):
        take_in(collection(items=bad), tmp_path / "ds", importer="made", workers=1)
    monkeypatch.setattr("histoseed.datasets.intake.engine.__version__", "999")
    data = take_in(collection(items=items(3)), tmp_path / "ds", importer="made")
    assert len(data) == 3
    assert pl.read_parquet(tmp_path / "ds" / "instances.parquet").height == 6
