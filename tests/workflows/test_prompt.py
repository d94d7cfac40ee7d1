"""``prompt`` with the bundled model: outlines of what was pointed at, ids kept, nothing lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

import histoseed
from histoseed.annotations import Instances, read_geojson, write_geojson
from histoseed.errors import InputError, LimitError, ModelError, OutputError
from histoseed.geometry import label_to_polygons

SIDE = 256


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """Twelve violet discs of 6 to 9 um on pink ground, and their labels."""
    rng = np.random.default_rng(3)
    labels = np.zeros((SIDE, SIDE), np.int32)
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    for k in range(12):
        cy, cx = 40 + 64 * (k // 4), 32 + 64 * (k % 4)
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= (12 + k % 4 * 2) ** 2] = k + 1
    image = np.where(labels[..., None] > 0, [105, 65, 140], [232, 190, 215]) + rng.normal(0, 5, (SIDE, SIDE, 3))
    path = tmp_path_factory.mktemp("drawing") / "discs.png"
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)
    return path, labels


def dice(one: shapely.Geometry, other: shapely.Geometry) -> float:
    return 2 * shapely.intersection(one, other).area / (one.area + other.area)


def truth(labels: np.ndarray) -> dict[int, shapely.Polygon]:
    return dict(zip(*label_to_polygons(labels), strict=True))


def test_a_box_becomes_an_outline(drawing: tuple[Path, np.ndarray]) -> None:
    path, labels = drawing
    made = histoseed.prompt(path, mpp=0.25, box=(78, 22, 114, 58))
    assert dice(made.instances.geometry[0], truth(labels)[2]) > 0.9
    assert made.instances.kind.tolist() == ["polygon"]
    assert 0 < made.instances.score[0] <= 1
    again = histoseed.prompt(path, mpp=0.25, box=(78, 22, 114, 58))
    assert again.instances.id[0] == made.instances.id[0]
    assert shapely.equals_exact(again.instances.geometry[0], made.instances.geometry[0])


def test_a_click_becomes_an_outline(drawing: tuple[Path, np.ndarray]) -> None:
    path, labels = drawing
    made = histoseed.prompt(path, mpp=0.25, points=[(96, 104)], negatives=[(128, 104)], candidates=True)
    outlines = made.instances
    assert max(dice(g, truth(labels)[6]) for g in outlines.geometry) > 0.85
    assert [m["candidate"] for m in outlines.measurements] == list(range(len(outlines)))
    assert len(set(outlines.id)) == len(outlines)


def crude(labels: np.ndarray) -> Instances:
    """Crude outlines of the discs: their boxes moved by some pixels, drawn as polygons; one is right, one is locked."""
    shapes = [shapely.affinity.translate(shapely.box(*g.bounds), 2, -2) for g in truth(labels).values()]
    shapes[3] = truth(labels)[4]
    names = [f"00000000-0000-4000-8000-{k:012d}" for k in range(12)]
    locked = [k == 5 for k in range(12)]
    return Instances.build(shapes, id=names, class_name=["nucleus"] * 12, locked=locked)


@pytest.mark.parametrize("use", ["box", "mask", "box+mask"])
def test_crude_outlines_are_refined_under_their_ids(drawing: tuple[Path, np.ndarray], tmp_path: Path, use: str) -> None:
    path, labels = drawing
    given = crude(labels)
    write_geojson(tmp_path / "crude.geojson", given)
    out, picture = tmp_path / "fine.geojson", tmp_path / "fine.png"
    made = histoseed.prompt(path, mpp=0.25, prompts=tmp_path / "crude.geojson", use=use, out=out, overlay=picture)
    assert made.instances.id.tolist() == given.id.tolist()
    assert set(made.instances.class_name) == {"nucleus"}
    before = np.mean([dice(g, t) for g, t in zip(given.geometry, truth(labels).values(), strict=True)])
    after = np.mean([dice(g, t) for g, t in zip(made.instances.geometry, truth(labels).values(), strict=True)])
    assert after > max(before, 0.85)
    assert made.rows[5]["status"] == "locked"
    assert made.instances.geometry[5].equals(given.geometry[5])
    assert made.facts["outlined"] + made.facts["unchanged"] == 11
    written, _ = read_geojson(out)
    assert written.id.tolist() == given.id.tolist()
    with Image.open(picture) as shown:
        assert min(shown.size) >= 256


def test_what_is_right_already_is_reported_as_unchanged(drawing: tuple[Path, np.ndarray]) -> None:
    path, labels = drawing
    own = histoseed.prompt(path, mpp=0.25, prompts=crude(labels))
    again = histoseed.prompt(path, mpp=0.25, prompts=own.instances)
    assert again.facts["unchanged"] >= 6
    assert again.facts["prompts"] == 12


def test_an_empty_answer_is_an_answer(drawing: tuple[Path, np.ndarray]) -> None:
    """A crude outline on bare ground: the model finds nothing, and the outline that was given is not lost."""
    path, _ = drawing
    nothing = Instances.build([shapely.box(120, 2, 126, 8)])
    made = histoseed.prompt(path, mpp=0.25, prompts=nothing)
    assert len(made.instances) == 1
    assert made.rows[0]["status"] in {"empty", "outlined"}
    assert made.rows[0]["score"] < 0.6


def test_without_a_known_resolution(drawing: tuple[Path, np.ndarray]) -> None:
    path, labels = drawing
    made = histoseed.prompt(path, box=(78, 22, 114, 58))
    assert dice(made.instances.geometry[0], truth(labels)[2]) > 0.9
    assert made.rows[0]["area_um2"] is None


def test_on_pixel_edges_or_with_few_vertices(drawing: tuple[Path, np.ndarray]) -> None:
    path, _ = drawing
    exact = histoseed.prompt(path, mpp=0.25, box=(78, 22, 114, 58), simplify_um=0).instances.geometry[0]
    corners = shapely.get_coordinates(exact)
    assert (corners == corners.round()).all()
    few = histoseed.prompt(path, mpp=0.25, box=(78, 22, 114, 58), budget=12).instances.geometry[0]
    assert len(few.exterior.coords) - 1 <= 12
    assert dice(exact, few) > 0.95


def test_nothing_is_written_when_something_is_wrong(drawing: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, labels = drawing
    out = tmp_path / "out.geojson"
    bad = Instances.build([shapely.box(10, 10, 20, 20), shapely.box(900, 10, 920, 30)], id=["a" * 8, "b" * 8])
    with pytest.raises(InputError, match="outside the slide") as caught:
        histoseed.prompt(path, prompts=bad, out=out)
    assert caught.value.where == "prompt bbbbbbbb"
    with pytest.raises(InputError, match="Nothing was pointed at"):
        histoseed.prompt(path, out=out)
    with pytest.raises(InputError, match="beside a file of prompts"):
        histoseed.prompt(path, box=(1, 1, 9, 9), prompts=crude(labels), out=out)
    with pytest.raises(InputError, match="no use"):
        histoseed.prompt(path, prompts=crude(labels), use="boxes", out=out)
    with pytest.raises(ModelError, match="no promptable model"):
        histoseed.prompt(path, box=(1, 1, 9, 9), model="sam-vit-x", out=out)
    with pytest.raises(LimitError, match="points in one prompt"):
        histoseed.prompt(path, points=[(5, 5)] * 10_000, out=out)
    with pytest.raises(InputError, match="needs a box"):
        histoseed.prompt(path, negatives=[(5, 5)], out=out)
    assert not out.exists()
    out.write_text("{}")
    with pytest.raises(OutputError, match="exists"):
        histoseed.prompt(path, box=(78, 22, 114, 58), out=out)
    assert out.read_text() == "{}"


def test_too_many_prompts(drawing: tuple[Path, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, labels = drawing
    write_geojson(tmp_path / "crude.geojson", crude(labels))
    monkeypatch.setenv("HISTOSEED_MAX_PROMPTS", "11")
    with pytest.raises(LimitError, match="12 prompts are more than max_prompts = 11"):
        histoseed.prompt(path, prompts=tmp_path / "crude.geojson")
