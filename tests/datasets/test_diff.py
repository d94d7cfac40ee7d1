"""Two versions of a data set: each kind of change, optimal pairs, and the real corrections of two public sets."""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from histoseed.annotations import Instances
from histoseed.datasets import (
    Dataset,
    DatasetInfo,
    DatasetWriter,
    import_geojson,
    import_labels,
    named_classes,
    read_dataset,
)
from histoseed.datasets.diff import OBJECT_COLUMNS, Diff
from histoseed.datasets.matching import object_overlaps, object_spans
from histoseed.errors import DatasetError, InputError
from histoseed.workflows.dataset_diff import diff_datasets

IDS = [f"00000000-0000-4000-8000-00000000000{k}" for k in range(10)]


@pytest.fixture
def version(tmp_path: Path) -> Callable[..., Dataset]:
    """A function that writes a version of a data set: patch id -> what `DatasetWriter.add` takes."""

    def write(name: str, patches: dict[str, dict]) -> Dataset:
        info = DatasetInfo(name="v", classes=named_classes(["a", "b"]), region_classes=named_classes(["area"]))
        with DatasetWriter(tmp_path / name, info) as writer:
            for patch_id, given in patches.items():
                facts = {"image": np.full((30, 40, 3), 200, np.uint8)} | given
                writer.add(patch_id, facts.pop("image"), facts.pop("objects", None), **facts)
        return read_dataset(tmp_path / name)

    return write


def squares(**boxes: tuple[int, int, int, int, int]) -> np.ndarray:
    """Label image (30, 40): label, x0, y0, x1, y1 of each object."""
    labels = np.zeros((30, 40), np.int32)
    for label, x0, y0, x1, y1 in boxes.values():
        labels[y0:y1, x0:x1] = label
    return labels


def changes(diff: Diff) -> list[tuple]:
    return diff.objects.select("change", "label_a", "label_b").rows()


def test_each_kind_of_change(version: Callable[..., Dataset]) -> None:
    before = squares(kept=(1, 0, 0, 6, 6), moved=(2, 10, 0, 16, 6), renamed=(3, 20, 0, 26, 6), gone=(4, 30, 0, 36, 6))
    after = squares(kept=(7, 0, 0, 6, 6), moved=(2, 13, 0, 19, 6), renamed=(3, 21, 0, 26, 6), new=(4, 30, 20, 36, 26))
    names = {1: "a", 2: "a", 3: "a", 4: None, 7: "a"}
    a = version("a", {"p": {"objects": before, "class_of": names}})
    b = version("b", {"p": {"objects": after, "class_of": names | {3: "b"}}})
    diff = diff_datasets(a, b)
    assert changes(diff) == [
        ("kept", 1, 7),
        ("moved", 2, 2),
        ("reclassed", 3, 3),
        ("removed", 4, None),
        ("added", None, 4),
    ]
    # Two squares of 36 pixels that are 3 pixels apart share 18 of 54.
    assert diff.objects["iou"].to_list() == [1.0, pytest.approx(18 / 54), pytest.approx(30 / 36), None, None]
    assert diff.objects["distance_px"].to_list() == [0.0, 3.0, 0.5, None, None]
    assert diff.objects["area_b"].to_list() == [36.0, 36.0, 30.0, None, 36.0]
    assert dict(diff.objects.schema) == dict(OBJECT_COLUMNS)
    found = diff.summary()
    assert found["objects"] == {"nucleus": {"kept": 1, "moved": 1, "reclassed": 1, "added": 1, "removed": 1}}
    assert (found["reclassed_and_moved"], found["classes"]) == (1, {"a -> b": 1})
    assert found["moved_iou"] == [0.333, 0.333, 0.333]
    assert diff.patches.select("changes", "kept", "facts").row(0) == (4, 1, "")
    # Turned round, what was added is removed.
    back = diff_datasets(b, a).summary()
    assert back["objects"]["nucleus"] == found["objects"]["nucleus"]
    assert back["classes"] == {"b -> a": 1}


def test_thresholds(version: Callable[..., Dataset]) -> None:
    a = version("a", {"p": {"objects": squares(one=(1, 0, 0, 10, 10))}})
    b = version("b", {"p": {"objects": squares(one=(1, 1, 0, 11, 10))}})  # IoU 90 / 110
    assert changes(diff_datasets(a, b)) == [("moved", 1, 1)]
    assert changes(diff_datasets(a, b, kept_iou=0.8)) == [("kept", 1, 1)]
    assert changes(diff_datasets(a, b, match_iou=0.9)) == [("removed", 1, None), ("added", None, 1)]
    for options in ({"match_iou": 0.0}, {"kept_iou": 1.5}, {"radius_um": 0.0}):
        with pytest.raises(InputError):
            diff_datasets(a, b, **options)


def test_an_outline_below_another_counts_with_all_its_pixels(version: Callable[..., Dataset]) -> None:
    one, two = shapely.box(0, 0, 10, 10), shapely.box(5, 0, 15, 10)
    a = version("a", {"p": {"objects": Instances.build([one, two], id=IDS[:2])}})
    alone = version("alone", {"p": {"objects": Instances.build([one], id=IDS[:1])}})
    # Half of the first is hidden in the mask of one version only; its outline is the same.
    assert changes(diff_datasets(a, alone)) == [("kept", 1, 1), ("removed", 2, None)]
    turned = version("turned", {"p": {"objects": Instances.build([two, one], id=[IDS[1], IDS[0]])}})
    assert changes(diff_datasets(a, turned)) == [("kept", 1, 2), ("kept", 2, 1)]


def test_an_outline_equals_the_mask_of_its_pixels(version: Callable[..., Dataset]) -> None:
    a = version("a", {"p": {"objects": Instances.build([shapely.box(3, 4, 9, 8)])}})
    b = version("b", {"p": {"objects": squares(one=(5, 3, 4, 9, 8))}})
    assert changes(diff_datasets(a, b)) == [("kept", 1, 5)]


def test_points_are_paired_by_distance_and_never_with_outlines(version: Callable[..., Dataset]) -> None:
    def points(*xy: tuple[float, float]) -> dict:
        shapes = [shapely.Point(x, y) for x, y in xy]
        return {"objects": Instances.build(shapes, kind="point", id=IDS[: len(xy)]), "mpp": 0.5}

    a = version("a", {"p": points((5, 5), (20, 5), (35, 25)), "q": points((5, 5))})
    b = version("b", {"p": points((5, 5), (23, 9), (5, 25)), "q": {"objects": squares(one=(1, 0, 0, 10, 10))}})
    found = diff_datasets(a, b).objects.select("patch_a", "change", "iou", "distance_px").rows()
    assert found == [
        ("p", "kept", None, 0.0),
        ("p", "moved", None, 5.0),  # 2.5 um
        ("p", "removed", None, None),
        ("p", "added", None, None),
        ("q", "removed", None, None),
        ("q", "added", None, None),
    ]
    nearer = diff_datasets(a, b, radius_um=2.4).summary()["objects"]["nucleus"]
    assert nearer == {"kept": 1, "moved": 0, "reclassed": 0, "added": 3, "removed": 3}


def test_boxes_and_outlines_without_a_pixel_are_paired_too(version: Callable[..., Dataset]) -> None:
    tiny, box = shapely.box(3.1, 3.1, 3.3, 3.3), shapely.box(10, 10, 20, 20)

    def objects(shift: float) -> dict:
        shapes = [shapely.affinity.translate(shape, shift) for shape in (tiny, box)]
        return {"objects": Instances.build(shapes, kind=["polygon", "box"], id=IDS[:2])}

    a, b = version("a", {"p": objects(0)}), version("b", {"p": objects(0.1)})
    assert diff_datasets(a, a_again(a)).summary()["objects"]["nucleus"]["kept"] == 2
    # The box still covers the same pixel centres; the outline without a pixel is compared by its centre.
    assert diff_datasets(a, b).objects.select("kind_a", "change").rows() == [("polygon", "moved"), ("box", "kept")]


def a_again(dataset: Dataset) -> Dataset:
    return read_dataset(dataset.path)


def test_layers_are_not_mixed(version: Callable[..., Dataset]) -> None:
    area = shapely.box(0, 0, 20, 20)
    outlined = Instances.build([area], class_name="area", id=IDS[:1])
    a = version("a", {"p": {"region_outlines": outlined}})
    b = version("b", {"p": {"objects": Instances.build([area], id=IDS[:1])}})
    assert diff_datasets(a, b).summary()["objects"] == {
        "nucleus": {"kept": 0, "moved": 0, "reclassed": 0, "added": 1, "removed": 0},
        "region": {"kept": 0, "moved": 0, "reclassed": 0, "added": 0, "removed": 1},
    }


def test_patches_on_one_side_and_other_facts(version: Callable[..., Dataset]) -> None:
    objects = {"objects": squares(one=(1, 0, 0, 5, 5))}
    ignore = np.ones((30, 40), bool)
    a = version("a", {"gone": objects, "p": objects | {"split": "train", "mpp": 0.5}, "q": {}})
    b = version("b", {"p": objects | {"split": "test", "mpp": 0.5, "ignore": ignore}, "q": {}, "new": objects})
    diff = diff_datasets(a, b)
    assert diff.patches.select("patch_a", "patch_b", "changes", "facts").rows() == [
        ("gone", None, 1, ""),
        ("p", "p", 0, "split, ignore area"),
        ("q", "q", 0, ""),
        (None, "new", 1, ""),
    ]
    found = diff.summary()
    assert found["patches"] == {"in_both": 2, "only_a": 1, "only_b": 1, "unchanged": 1}
    assert found["facts"] == {"split": 1, "ignore area": 1}
    assert diff.objects.select("patch_a", "patch_b", "change").rows()[-1] == (None, "new", "added")


def test_patches_are_paired_by_their_pixels(version: Callable[..., Dataset]) -> None:
    images = [np.full((30, 40, 3), 10 * k, np.uint8) for k in range(3)]
    a = version("a", {f"a{k}": {"image": image} for k, image in enumerate(images)} | {"a3": {"image": images[0]}})
    b = version("b", {f"b{k}": {"image": image} for k, image in enumerate(images[::-1])})
    with pytest.raises(DatasetError, match=r"No patch stands in both.*--by-image"):
        diff_datasets(a, b)
    pairs = diff_datasets(a, b, by_image=True).patches.select("patch_a", "patch_b").rows()
    assert pairs == [("a0", "b2"), ("a1", "b1"), ("a2", "b0"), ("a3", None)]


def test_versions_of_other_size_are_refused(version: Callable[..., Dataset]) -> None:
    a = version("a", {"p": {}})
    b = version("b", {"p": {"image": np.zeros((60, 80, 3), np.uint8)}})
    with pytest.raises(DatasetError, match=r"patch 'p': .* 40 x 30 pixels in one version and 80 x 60"):
        diff_datasets(a, b)


def test_outlines_of_a_whole_slide_are_compared_without_reading_it(
    version: Callable[..., Dataset], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slide(name: str, shift: float) -> Dataset:
        box = Instances.build([shapely.box(4000 + shift, 2000, 8000 + shift, 6000)], class_name="area", id=IDS[:1])
        data = version(name, {"p": {"x": 0.0, "y": 0.0, "region_outlines": box}})
        path = data.path / "patches.parquet"
        (data.path / "slide.tif").write_bytes(b"never opened")
        table = pl.read_parquet(path).with_columns(
            image=pl.lit("slide.tif"), width=pl.lit(100_000, pl.Int32), height=pl.lit(50_000, pl.Int32),
            sha256=pl.lit(None, pl.String),
        )  # fmt: skip
        table.write_parquet(path)
        return read_dataset(data.path)

    a, b, same = slide("a", 0), slide("b", 1000), slide("same", 0)
    assert diff_datasets(a, same).summary()["objects"]["region"]["kept"] == 1
    assert diff_datasets(a, b).objects["iou"].to_list() == [pytest.approx(3 / 5, abs=0.01)]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_overlaps_are_those_of_the_pixels_and_pairs_are_optimal(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.integers(0, 5, (6, 7)).astype(np.int32) for _ in range(2))
    tables = [
        pl.DataFrame({"kind": "mask", "label": ids, "geometry": pl.Series([None] * len(ids), dtype=pl.Binary)})
        for ids in ([int(v) for v in np.unique(side) if v] for side in (a, b))
    ]
    spans = [object_spans(table, labels) for table, labels in zip(tables, (a, b), strict=True)]
    found = object_overlaps(spans[0], spans[1], (tables[0].height, tables[1].height), a.shape)
    iou = np.zeros((tables[0].height, tables[1].height))
    iou[found.first, found.second] = found.iou
    for i, one in enumerate(tables[0]["label"]):
        for j, other in enumerate(tables[1]["label"]):
            both, either = ((a == one) & (b == other)).sum(), ((a == one) | (b == other)).sum()
            assert iou[i, j] == pytest.approx(both / either)
    from histoseed.metrics import max_weight_matching

    chosen = max_weight_matching(found.first, found.second, found.iou)
    small, large = sorted(iou.shape)
    square = iou if iou.shape[0] == small else iou.T
    best = max((sum(square[i, j] for i, j in enumerate(p)) for p in permutations(range(large), small)), default=0.0)
    assert found.iou[chosen].sum() == pytest.approx(best)


def _imported(root: Path, name: str, labels: str, out: Path) -> Path:
    """Import pictures with one of their two folders of labels."""
    source = out / f"source-{labels}"
    source.mkdir()
    (source / "images").symlink_to(root / name / "images")
    (source / "labels").symlink_to(root / name / labels)
    import_labels(source, out / labels, name=name)
    return out / labels


def test_the_community_corrections_of_dsb2018(shared_data: Path, tmp_path: Path) -> None:
    a, b = (_imported(shared_data, "dsb2018_pairs", v, tmp_path) for v in ("labels_original", "labels_fixed"))
    diff = diff_datasets(a, b)
    counts = diff.summary()["objects"]["nucleus"]
    with (shared_data / "dsb2018_pairs" / "manifest.csv").open() as stream:
        stated = {row["stem"]: row for row in csv.DictReader(stream)}
    # Every mask of both versions is accounted for.
    assert counts["kept"] + counts["moved"] + counts["removed"] == sum(
        int(r["masks_original"]) for r in stated.values()
    )
    assert counts["kept"] + counts["moved"] + counts["added"] == sum(int(r["masks_fixed"]) for r in stated.values())
    other = 0
    for row in diff.patches.iter_rows(named=True):
        log = stated[row["patch_a"]]
        # The log goes by file names: an object that was divided counts there as one removed and two added, here as one
        # that moved (its larger part) and one added. So as many less are removed as added, and those moved.
        divided = int(log["removed"]) - row["removed"]
        assert divided >= 0
        assert int(log["added"]) - row["added"] == divided
        # What moves beyond that lost pixels to a neighbour that was redrawn, for masks overlap and label images cannot.
        assert row["moved"] >= int(log["redrawn"]) + divided
        assert row["moved"] - int(log["redrawn"]) - divided <= 1
        other += (row["removed"], row["added"], row["moved"]) != tuple(
            int(log[k]) for k in ("removed", "added", "redrawn")
        )
    assert other == 14
    assert (counts["moved"], counts["added"], counts["removed"]) == (382 + 16 + 3, 41 - 16, 39 - 16)


def test_the_human_corrections_of_machine_outlines(shared_data: Path, tmp_path: Path) -> None:
    root = shared_data / "tcga_lgg_pairs"
    pictures = sorted((root / "images").iterdir())
    for side in ("machine", "human"):
        files = [root / f"{side}_geojson" / f"{picture.stem}.geojson" for picture in pictures]
        import_geojson(pictures, files, tmp_path / side, allow_outside=True)
    diff = diff_datasets(tmp_path / "machine", tmp_path / "human")
    counts = diff.summary()["objects"]["nucleus"]
    # Its log: 1,954 kept unchanged, 700 machine outlines removed or edited, 231 edited and 882 newly drawn.
    assert counts["kept"] == 1954
    assert counts["moved"] + counts["removed"] == 700
    assert counts["moved"] + counts["added"] == 231 + 882
    with (root / "manifest.csv").open() as stream:
        stated = {row["id"]: int(row["kept_unchanged"]) for row in csv.DictReader(stream)}
    assert {row["patch_a"]: row["kept"] for row in diff.patches.iter_rows(named=True)} == stated
    # As label images the same outlines hide each other: fewer stay as they were.
    a, b = (_imported(shared_data, "tcga_lgg_pairs", v, tmp_path) for v in ("labels_machine", "labels_human"))
    flat = diff_datasets(a, b).summary()["objects"]["nucleus"]
    assert (flat["kept"], flat["kept"] + flat["moved"] + flat["added"]) == (1903, 3067)
