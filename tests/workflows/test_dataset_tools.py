"""``dataset leakage``, ``diff``, ``merge`` and ``windows`` as verbs: what they write, refuse and tell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shapely
from PIL import Image

from histoseed.annotations import Instances, write_geojson
from histoseed.datasets import Dataset, DatasetInfo, DatasetWriter, named_classes, read_dataset
from histoseed.errors import InputError, OutputError
from histoseed.geometry import Region
from histoseed.pictures.colors import rgb
from histoseed.slides import open_slide
from histoseed.workflows.dataset_diff import CHANGE_COLORS, diff_data, diff_datasets
from histoseed.workflows.dataset_leakage import leakage_data
from histoseed.workflows.dataset_merge import list_class_maps, merge_data
from histoseed.workflows.dataset_windows import cut_windows


class Counting:
    """A progress that adds up, phase by phase."""

    def __init__(self) -> None:
        self.phases: list[list[int]] = []
        self.ended = True

    def start(self, total: int, unit: str, description: str) -> None:
        self.phases.append([total, 0])
        self.ended = False

    def advance(self, n: int, **facts: float) -> None:
        self.phases[-1][1] += n

    def done(self) -> None:
        self.ended = True

    def complete(self) -> bool:
        return self.ended and all(total == made for total, made in self.phases)


@pytest.fixture
def changed(discs: Path, tmp_path: Path) -> Path:
    """Another version of `discs`: in p0 the first object is gone, in p1 all objects have the other class."""
    data = read_dataset(discs)
    with DatasetWriter(tmp_path / "changed", DatasetInfo(name="discs", classes=data.classes)) as writer:
        for patch in data:
            labels = patch.labels.copy()
            names = {int(k): patch.classes[patch.class_ids[k] - 1] for k in patch.label_ids}
            if patch.patch_id == "p0":
                labels[labels == patch.label_ids[0]] = 0
            if patch.patch_id == "p1":
                names = {k: "odd" if name == "even" else "even" for k, name in names.items()}
            facts = {"mpp": patch.mpp, "patient": patch.patient, "slide": patch.slide}
            writer.add(patch.patch_id, patch.image, labels, class_of=names, **facts)
    return tmp_path / "changed"


def test_diff_writes_tables_and_a_picture(discs: Path, changed: Path, tmp_path: Path) -> None:
    told = Counting()
    facts = diff_data(discs, changed, out=tmp_path / "diff", progress=told)
    assert told.complete()
    assert [total for total, _ in told.phases] == [4, 2]
    assert {p.name for p in (tmp_path / "diff").iterdir()} == {
        "objects.parquet", "objects.csv", "patches.csv", "summary.json", "changes.png",
    }  # fmt: skip
    objects = pl.read_parquet(tmp_path / "diff" / "objects.parquet")
    diff = diff_datasets(discs, changed)
    assert objects.equals(diff.objects)
    assert pl.read_csv(tmp_path / "diff" / "objects.csv")["change"].to_list() == objects["change"].to_list()
    assert pl.read_csv(tmp_path / "diff" / "patches.csv")["changes"].to_list() == diff.patches["changes"].to_list()
    assert json.loads((tmp_path / "diff" / "summary.json").read_text()) == json.loads(json.dumps(facts))
    other = read_dataset(discs).objects("p1").height
    counts = facts["objects"]["nucleus"]
    assert (counts["removed"], counts["added"], counts["moved"], counts["reclassed"]) == (1, 0, 0, other)
    with Image.open(tmp_path / "diff" / "changes.png") as picture:
        colors = {tuple(color) for color in np.asarray(picture.convert("RGB")).reshape(-1, 3)}
    assert {rgb(CHANGE_COLORS["removed"]), rgb(CHANGE_COLORS["reclassed"])} <= colors


def test_outlines_on_the_picture_lie_where_objects_changed(tmp_path: Path) -> None:
    folders = []
    for name, x in (("a", 5), ("b", 25)):
        labels = np.zeros((40, 40), np.int32)
        labels[10:16, x : x + 6] = 1
        with DatasetWriter(tmp_path / name, DatasetInfo(name="v")) as writer:
            writer.add("p", np.full((40, 40, 3), 255, np.uint8), labels)
        folders.append(tmp_path / name)
    diff_data(*folders, out=tmp_path / "diff")
    with Image.open(tmp_path / "diff" / "changes.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    tile = pixels[:-60]  # without the legend at the foot
    columns = {
        change: np.flatnonzero((tile == rgb(CHANGE_COLORS[change])).all(axis=2).any(axis=0))
        for change in ("removed", "added")
    }
    # 10 pixels of the sheet are one of the patch, and what was removed lies 20 pixels left of what was added.
    assert columns["removed"].max() - columns["removed"].min() == pytest.approx(59, abs=2)
    assert columns["added"].min() - columns["removed"].min() == pytest.approx(200, abs=2)


def test_the_patch_that_changed_most_comes_first(tmp_path: Path) -> None:
    for name, counts in (
        ("a", {"few": 3, "most": 9, "none": 5, "many": 6}),
        ("b", {"few": 2, "most": 1, "none": 5, "many": 2}),
    ):
        with DatasetWriter(tmp_path / name, DatasetInfo(name="v")) as writer:
            for shade, (patch_id, count) in enumerate(counts.items()):
                labels = np.zeros((40, 40), np.int32)
                for k in range(count):
                    labels[k * 4 : k * 4 + 3, 1:4] = k + 1
                writer.add(patch_id, np.full((40, 40, 3), 50 * shade + 20, np.uint8), labels)
    diff_data(tmp_path / "a", tmp_path / "b", out=tmp_path / "diff", pictures=2)
    with Image.open(tmp_path / "diff" / "changes.png") as picture:
        row = np.asarray(picture.convert("L"))[300]
    shades = [int(v) for v in row if v in (20, 70, 120, 170)]
    assert list(dict.fromkeys(shades)) == [70, 170]  # "most" with 8 changes, then "many" with 4


def test_diff_of_equal_versions_draws_nothing(discs: Path, tmp_path: Path) -> None:
    facts = diff_data(discs, discs, out=tmp_path / "diff")
    assert facts["patches"]["unchanged"] == 4
    assert not (tmp_path / "diff" / "changes.png").exists()


def test_diff_replaces_only_an_earlier_comparison(discs: Path, changed: Path, tmp_path: Path) -> None:
    out = tmp_path / "diff"
    diff_data(discs, changed, out=out, pictures=0)
    with pytest.raises(OutputError, match="not empty"):
        diff_data(discs, changed, out=out)
    diff_data(discs, changed, out=out, overwrite=True)
    assert (out / "changes.png").is_file()
    (out / "mine.txt").write_text("x")
    with pytest.raises(OutputError, match=r"mine\.txt"):
        diff_data(discs, changed, out=out, overwrite=True)
    with pytest.raises(InputError):
        diff_data(discs, changed, pictures=-1)


def test_leakage_writes_a_table(discs: Path, changed: Path, tmp_path: Path) -> None:
    told, csv = Counting(), tmp_path / "found.csv"
    facts = leakage_data([discs, changed], csv=csv, progress=told)
    assert told.complete()
    assert [total for total, _ in told.phases] == [4, 4]
    assert facts["found"]
    kinds = {(row["kind"], row["sure"]): row["shared"] for row in facts["summary"]}
    # Slides and patients have names that could mean others; objects have ids, and the pictures are the same.
    assert kinds == {("patient", False): 2, ("slide", False): 2, ("object", True): 1, ("image", True): 4}
    assert pl.read_csv(csv).height == len(facts["findings"])
    with pytest.raises(OutputError, match="there already"):
        leakage_data([discs, changed], csv=csv)
    names = leakage_data([discs, changed], images=False, csv=csv, overwrite=True)
    assert {row["kind"] for row in names["findings"]} == {"patient", "slide", "object"}


def test_merge_and_its_maps(discs: Path, changed: Path, tmp_path: Path) -> None:
    path = tmp_path / "map.toml"
    path.write_text('[discs]\nodd = "x"\neven = "drop"\n')
    told = Counting()
    facts = merge_data([discs, changed], tmp_path / "out", class_map=path, progress=told)
    assert told.complete()
    assert (facts["patches"], list(facts["classes"]), facts["commercial_use"]) == (8, ["x"], "unknown")
    read_dataset(tmp_path / "out", verify=True)
    maps = {row["name"]: row for row in list_class_maps()}
    assert maps.keys() == {"common", "consep", "lizard", "monusac", "nucls-main", "nucls-super", "pannuke"}
    assert maps["lizard"]["classes"][:2] == ["Neutrophil", "Epithelial"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("x")
    with pytest.raises(OutputError, match="no data set"):
        merge_data([discs, changed], tmp_path / "other", overwrite=True)
    with pytest.raises(OutputError, match="lies in the folder"):
        merge_data([discs, changed], discs, overwrite=True)


def test_windows_of_a_whole_slide(shared_data: Path, tmp_path: Path) -> None:
    slide = shared_data / "wsi_fixtures" / "real" / "CMU-1-Small-Region.svs"
    objects = Instances.build([shapely.box(300, 400, 1300, 1200), shapely.box(2100, 2900, 2160, 2950)], class_name="x")
    write_geojson(tmp_path / "any.geojson", objects)
    told = Counting()
    facts = cut_windows(slide, tmp_path / "any.geojson", tmp_path / "out", size=256, progress=told)
    assert told.complete()
    assert (facts["patches"], facts["objects"]) == (2, 2)
    data = read_dataset(tmp_path / "out", verify=True)
    assert data.name == "out"
    with open_slide(slide) as opened:
        assert data.patch(0).mpp == pytest.approx(opened.mpp * 2000 / 256)
        for patch, (x, y, side) in zip(data, ((0, 0, 2000), (2070, 2847, 120)), strict=True):
            assert (patch.x, patch.y) == (x, y)
            direct = opened.read(Region(x, y, side, side, patch.mpp))
            np.testing.assert_array_equal(patch.image, direct)
    # The second lies near the foot of the slide: its window is shifted, and not smaller.
    assert data.patch(1).image.shape == (120, 120, 3)


def test_windows_go_on_where_they_were_interrupted(tmp_path: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    boxes = [shapely.box(x, y, x + 10, y + 10) for x in range(0, 180, 20) for y in range(0, 180, 20)]
    write_geojson(tmp_path / "a.geojson", Instances.build(boxes))

    class Stop(Counting):
        def advance(self, n: int, **facts: float) -> None:
            super().advance(n)
            if self.phases[-1][1] >= 32:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cut_windows(tmp_path / "a.png", tmp_path / "a.geojson", tmp_path / "out", progress=Stop(), workers=1)
    assert not (tmp_path / "out" / "dataset.json").exists()
    told = Counting()
    cut_windows(tmp_path / "a.png", tmp_path / "a.geojson", tmp_path / "out", progress=told, workers=1)
    assert told.complete()
    cut_windows(tmp_path / "a.png", tmp_path / "a.geojson", tmp_path / "whole", name="out", workers=2)
    assert _bytes(read_dataset(tmp_path / "out")) == _bytes(read_dataset(tmp_path / "whole"))


def _bytes(data: Dataset) -> dict[str, bytes]:
    return {str(p.relative_to(data.path)): p.read_bytes() for p in sorted(data.path.rglob("*")) if p.is_file()}


def test_windows_replace_only_a_data_set(tmp_path: Path) -> None:
    Image.new("RGB", (50, 50)).save(tmp_path / "a.png")
    write_geojson(tmp_path / "a.geojson", Instances.build([shapely.box(1, 1, 9, 9)]))
    with pytest.raises(OutputError, match="no data set"):
        cut_windows(tmp_path / "a.png", tmp_path / "a.geojson", tmp_path, overwrite=True)


@pytest.fixture
def twice(tmp_path: Path) -> Callable[[str], Path]:
    """A function that writes the same tiny data set under another name."""

    def write(name: str) -> Path:
        with DatasetWriter(tmp_path / name, DatasetInfo(name=name, classes=named_classes(["a"]))) as writer:
            writer.add("p", np.zeros((8, 8, 3), np.uint8), patient="TCGA-A1-A0SP")
        return tmp_path / name

    return write


def test_leakage_notes_of_the_data_sets_are_passed_on(twice: Callable[[str], Path]) -> None:
    facts = leakage_data([twice("a"), twice("b")])
    assert [row["name"] for row in facts["datasets"]] == ["a", "b"]
    assert facts["notes"] == ["2 blank patches were not compared."]
    assert facts["findings"][0]["name"] == "TCGA-A1-A0SP"
