"""``suggest``: regions with tissue, spread over what is to be seen, away from what is annotated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import shapely
import torch
from PIL import Image

from histoseed import load_model, suggest
from histoseed.annotations import Instances, read_geojson, write_geojson
from histoseed.datasets import Dataset, DatasetInfo, DatasetWriter, read_dataset
from histoseed.errors import DatasetError, InputError, OutputError, UnknownMppError
from histoseed.metrics import fit_power_law
from histoseed.workflows.suggestion import places_of, sources_of, thin_out
from histoseed.workflows.suggestion.curve import _judged

CPU = {"device": "cpu", "dtype": "float32"}


class Simple(torch.nn.Module):
    """An encoder whose tokens are mean colours and mean differences between neighbours."""

    channels = (6,)
    mean = torch.zeros(1)

    def freeze(self) -> Simple:
        return self

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        slopes = (x[..., 1:, 1:] - x[..., :-1, :-1]).abs()
        return [torch.nn.functional.avg_pool2d(torch.cat([x[..., 1:, 1:] - 0.6, 4 * slopes], 1), 16)]


@pytest.fixture(autouse=True, scope="module")
def _simple() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("histoseed.workflows.suggestion.eyes.build_encoder", lambda *args, **options: Simple())
        yield


def texture(kind: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """(H, W, 3) uint8: 0 plain pink, 1 dark discs close together, 2 stripes, 3 few large discs."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    dark = np.zeros((height, width), bool)
    if kind == 1:
        dark = ((y % 20 - 10) ** 2 + (x % 20 - 10) ** 2) < 50
    elif kind == 2:
        dark = (y + 2 * x) % 24 < 8
    elif kind == 3:
        dark = ((y % 64 - 32) ** 2 + (x % 64 - 32) ** 2) < 400
    image = np.where(dark[..., None], [95, 50, 130], [225, 150, 195]) + rng.normal(0, 5, (height, width, 3))
    return image.clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Glass, and four pieces of tissue of 128 x 128 um; 0.5 microns per pixel."""
    image = np.full((768, 768, 3), 243, np.uint8)
    for kind in range(4):
        y, x = kind // 2 * 512, kind % 2 * 512
        image[y : y + 256, x : x + 256] = texture(kind, 256, 256, kind)
    path = tmp_path_factory.mktemp("slides") / "four.png"
    Image.fromarray(image).save(path)
    return path


def kind_at(x: float, y: float) -> int:
    return int(y > 384) * 2 + int(x > 384)


@pytest.fixture(scope="module")
def first(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run for four regions."""
    out = tmp_path_factory.mktemp("runs") / "first"
    suggest(slide, n=4, mpp=0.5, out=out, **CPU)
    return out


def test_every_kind_of_tissue_is_proposed_once(first: Path) -> None:
    found = json.loads((first / "regions.json").read_text())
    regions = found["regions"]
    assert [one["number"] for one in regions] == [1, 2, 3, 4]
    assert {kind_at(one["x"], one["y"]) for one in regions} == {0, 1, 2, 3}
    assert (found["how"], found["annotated"], found["curve"]) == ("diverse", 0, None)
    assert found["places"] == found["candidates"] == 16
    for one in regions:
        assert (one["width"], one["size_um"]) == (128, 64.0)
        assert one["tissue"] >= 0.5
        assert one["stands_for"] == pytest.approx(0.25, abs=0.01)
        assert one["uncertainty"] is one["distance"] is None
        assert "25%" in one["reason"]


def test_the_files_can_be_read(first: Path, slide: Path) -> None:
    assert {path.name for path in first.iterdir()} == {
        "overview.png", "regions.png", "regions.geojson", "regions.json", "run.json",
    }  # fmt: skip
    boxes, _ = read_geojson(first / "regions.geojson")
    regions = json.loads((first / "regions.json").read_text())["regions"]
    expected = [[r["x"], r["y"], r["x"] + r["width"], r["y"] + r["height"]] for r in regions]
    np.testing.assert_array_equal(boxes.bounds(), expected)
    assert [row["Suggestion"] for row in boxes.measurements] == [1, 2, 3, 4]
    overview = np.asarray(Image.open(first / "overview.png"))
    assert (overview == [0, 114, 178]).all(-1).sum() > 500  # the boxes
    run = json.loads((first / "run.json").read_text())
    assert (run["verb"], run["status"], run["results"]["regions"]) == ("suggest", "finished", 4)
    with pytest.raises(OutputError, match="finished run"):
        suggest(slide, n=4, mpp=0.5, out=first, **CPU)


def test_proposals_are_nested_and_the_same_again(first: Path, slide: Path) -> None:
    earlier = json.loads((first / "regions.json").read_text())["regions"]
    found = suggest(slide, n=2, mpp=0.5, **CPU)
    assert [(r.x, r.y) for r in found.regions] == [(r["x"], r["y"]) for r in earlier[:2]]


def test_what_is_annotated_is_left_out_and_kept_away_from(slide: Path, tmp_path: Path) -> None:
    """Nuclei in one piece of tissue, an outlined area over another: the next two are of the other kinds."""
    nuclei = [shapely.Point(x + 0.5, y + 0.5).buffer(6) for x in range(20, 250, 40) for y in range(20, 250, 40)]
    area = shapely.box(512, 0, 768, 256)
    path = tmp_path / "done.geojson"
    ids = [f"00000000-0000-4000-8000-{k:012d}" for k in range(len(nuclei) + 1)]
    write_geojson(path, Instances.build([*nuclei, area], id=ids))
    found = suggest(slide, n=2, mpp=0.5, annotated=path, **CPU)
    assert (found.annotated, found.places) == (8, 8)
    assert {kind_at(one.x, one.y) for one in found.regions} == {2, 3}
    assert all(one.distance is not None and one.distance > 0 for one in found.regions)


def test_a_model_asks_where_it_is_unsure(slide: Path, tmp_path: Path) -> None:
    found = suggest(slide, n=3, mpp=0.5, model="bundled", candidates=6, out=tmp_path / "out", **CPU)
    assert (found.how, found.candidates, found.places) == ("uncertain", 6, 16)
    ranks = [one.uncertainty_rank for one in found.regions]
    assert all(rank is not None and rank >= 0.5 for rank in ranks)
    assert all("surer" in one.reason for one in found.regions)
    run = json.loads((tmp_path / "out" / "run.json").read_text())
    assert set(run["inputs"]) == {"slide", "model"}


def patches(folder: Path, annotated: tuple[str, ...] = ()) -> Path:
    with DatasetWriter(folder, DatasetInfo(name=folder.name)) as writer:
        for slide in "ab":
            for kind in range(4):
                labels = np.zeros((128, 128), np.int32)
                if f"{slide}{kind}" in annotated:
                    labels[30:40, 30:40], labels[100:112, 100:110] = 1, 2
                picture = texture(kind, 128, 128, kind)
                writer.add(f"{slide}{kind}", picture, labels, mpp=0.5, slide=slide, patient=slide)
    return folder


def test_patches_of_a_data_set_take_turns(tmp_path: Path) -> None:
    data = patches(tmp_path / "data", annotated=("a0", "b1"))
    found = suggest(data, n=4, out=tmp_path / "out", **CPU)
    assert (found.places, found.annotated) == (6, 2)
    assert [one.group for one in found.regions[:2]] in (["a", "b"], ["b", "a"])
    assert not {"a0", "b1"} & {one.source for one in found.regions}
    for one in found.regions:
        assert (tmp_path / "out" / "regions" / f"{one.source}.geojson").is_file()
    everything = suggest(data, n=8, annotated="none", **CPU)
    assert (everything.places, everything.annotated) == (8, 0)
    other = patches(tmp_path / "other", annotated=tuple(f"a{k}" for k in range(4)))
    assert {one.group for one in suggest(data, n=3, annotated=other, **CPU).regions} == {"b"}


def test_several_slides(slide: Path, tmp_path: Path) -> None:
    second = tmp_path / "plain.png"
    Image.fromarray(texture(1, 200, 200)).save(second)
    found = suggest([slide, second], n=2, mpp=0.5, candidates=8, out=tmp_path / "out", **CPU)
    assert {one.source for one in found.regions} == {str(slide), str(second)}
    assert {p.name for p in (tmp_path / "out" / "regions").iterdir()} == {"four.geojson", "plain.geojson"}


def test_bad_input_is_told(slide: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(UnknownMppError, match="microns per pixel"):
        suggest(slide, out=out, **CPU)
    with pytest.raises(InputError, match="at least one region"):
        suggest(slide, n=0, mpp=0.5, out=out, **CPU)
    with pytest.raises(InputError, match="16 places"):
        suggest(slide, n=17, mpp=0.5, out=out, **CPU)
    with pytest.raises(InputError, match="micrometres"):
        suggest(slide, size_um=4, mpp=0.5, out=out, **CPU)
    with pytest.raises(InputError, match="one slide"):
        suggest([slide, slide], annotated=out, mpp=0.5, out=out, **CPU)
    with pytest.raises(InputError, match="learning curve"):
        suggest(slide, curve=True, mpp=0.5, out=out, **CPU)
    with pytest.raises(InputError, match="Nothing is named"):
        suggest([], out=out, **CPU)
    data = patches(tmp_path / "data")
    with pytest.raises(InputError, match="one by one"):
        suggest([data, slide], out=out, **CPU)
    with pytest.raises(InputError, match="Only a data set"):
        suggest(data, annotated=slide, out=out, **CPU)
    with pytest.raises(InputError, match="file of annotations"):
        suggest(slide, annotated=data, mpp=0.5, out=out, **CPU)
    done = patches(tmp_path / "done", annotated=tuple(f"{s}{k}" for s in "ab" for k in range(4)))
    with pytest.raises(InputError, match="is annotated") as caught:
        suggest(done, out=out, **CPU)
    assert "--curve" in str(caught.value.fix)
    assert not out.exists()


def test_places_cover_tissue_and_no_glass(slide: Path) -> None:
    (field,) = sources_of(slide, None, mpp=0.5, limit=9, seed=0).fields
    places = places_of(field, 64)
    assert [(p.x, p.y) for p in places[:4]] == [(0, 0), (128, 0), (512, 0), (640, 0)]
    assert len(places) == 16
    assert all(p.tissue > 0.9 for p in places)
    larger = places_of(field, 128)
    assert [(p.x, p.y, p.side) for p in larger] == [(0, 0, 256), (512, 0, 256), (0, 512, 256), (512, 512, 256)]


def test_thinning_out_keeps_slides_and_order() -> None:
    groups = ["a"] * 90 + ["b"] * 10
    chosen = thin_out(groups, 20, seed=1)
    assert chosen == sorted(chosen)
    assert [groups[i] for i in chosen].count("b") == 10
    assert thin_out(groups, 200, seed=1) == list(range(100))
    assert thin_out([], 5, seed=0) == []


def test_a_learning_curve_is_measured_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for training: sizes, draws, groups and files are those of the verb."""
    from histoseed.workflows.suggestion import curve as module

    data = patches(tmp_path / "data", annotated=tuple(f"{s}{k}" for s in "ab" for k in range(4)))
    calls = []

    def scored(self: object, size: int, draw: int) -> dict[str, float]:
        calls.append((size, draw))
        return {"b": 0.6 - 0.3 / size + 0.01 * draw, "c": 0.7 - 0.3 / size}

    monkeypatch.setattr(module._Halves, "scored", scored)
    monkeypatch.setattr(module, "annotated_crops", lambda *args, **options: [None] * 5)
    found = suggest(data, curve=True, out=tmp_path / "out", **CPU)
    assert found.regions == ()  # all is annotated
    assert calls == [(size, draw) for size in (1, 2, 4) for draw in range(3)]
    curve = json.loads((tmp_path / "out" / "regions.json").read_text())["curve"]
    assert curve["sizes"] == [1, 2, 4]
    assert curve["draws"]["2"][0] == pytest.approx(0.5)
    law = fit_power_law([1, 2, 4], [0.36, 0.51, 0.585])
    assert curve["gain"]["value"] == pytest.approx(law.at(5) - law.at(4))
    assert (tmp_path / "out" / "learning_curve.png").is_file()
    assert not (tmp_path / "out" / ".work").exists()


def test_models_are_trained_on_one_half_and_scored_on_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a stand-in for training; what was scored is read again, and the model is gone."""
    from histoseed.workflows.progress import Silent
    from histoseed.workflows.suggestion import Training, measure_curve
    from histoseed.workflows.suggestion import curve as module

    monkeypatch.setenv("HISTOSEED_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_SIZES", (1,))
    monkeypatch.setattr(module, "_DRAWS", 1)
    data = read_dataset(patches(tmp_path / "data", annotated=tuple(f"{s}{k}" for s in "ab" for k in range(4))))
    monkeypatch.setattr(module, "annotated_crops", lambda *args, **options: [None])

    def adapted(dataset: Dataset, *, out: Path, patches: int, seed: int, overwrite: bool, **options: object) -> object:
        assert (patches, seed, overwrite, options["start"]) == (1, 0, False, Path("models/mine"))
        assert set(dataset.patches["group"]) == {"a"}
        out.mkdir()
        return load_model("bundled", device="cpu")

    monkeypatch.setattr(module, "adapt", adapted)
    how = Training("models/mine", "bundled", None, None, "cpu", "float32")
    found = measure_curve(data, how, tmp_path, Silent())
    assert (found.sizes, found.groups, found.gain) == ((1,), ("b",), None)
    assert "too few" in found.remark
    assert [p.name for p in tmp_path.glob("curve-*")] == ["curve-1-0.json"]
    assert not list(tmp_path.glob("model-*"))
    monkeypatch.setattr(module, "adapt", None)  # not called again
    again = measure_curve(data, how, tmp_path, Silent())
    np.testing.assert_array_equal(again.scores, found.scores)


def test_a_single_group_has_no_learning_curve(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "one", DatasetInfo(name="one")) as writer:
        labels = np.zeros((192, 192), np.int32)
        labels[30:40, 30:40] = 1
        writer.add("p", texture(1, 192, 192), labels, mpp=0.5, slide="s")
    with pytest.raises(DatasetError, match="independent groups"):
        suggest(tmp_path / "one", curve=True, **CPU)


def test_what_is_not_known_is_said() -> None:
    rng = np.random.default_rng(0)
    flat = _judged((1, 2, 4), 0.5 + rng.normal(0, 0.05, (3, 3, 6)), tuple("abcdef"))
    assert flat.gain is not None
    assert flat.gain.low < 1e-3
    assert "not known" in flat.remark
    alone = _judged((1, 2, 4), np.linspace(0.2, 0.4, 9).reshape(3, 3, 1), ("a",))
    assert "One test group" in alone.remark
    steep = _judged(
        (1, 2, 4), np.array([0.2, 0.4, 0.5])[:, None, None] + rng.normal(0, 0.003, (3, 3, 6)), tuple("abcdef")
    )
    assert steep.gain is not None
    assert steep.gain.low > 0
    assert "6 test groups" in steep.remark
