"""``prompt`` with the bundled model: outlines of what was pointed at, ids kept, nothing lost."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

import histoseed
from histoseed.annotations import Instances, read_geojson, write_geojson
from histoseed.errors import InputError, LimitError, ModelError, OutputError
from histoseed.geometry import Region, label_to_polygons
from histoseed.slides import open_slide
from histoseed.workflows.prompting.overlay import overlay_png

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
    kept = [row["status"] == "unchanged" for row in again.rows]
    assert again.instances.id.tolist() == own.instances.id.tolist()
    for index in np.flatnonzero(kept):
        given = own.instances.geometry[index]
        assert again.instances.geometry[index].wkb == given.wkb
        assert again.rows[index]["area_px"] == given.area
        assert again.rows[index]["vertices"] == shapely.get_num_coordinates(given)


def test_the_outline_of_a_user_is_written_as_it_was_drawn(drawing: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    """An outline that agrees with the answer, but is none: every second vertex of the truth, shifted a little."""
    path, labels = drawing
    corners = shapely.get_coordinates(truth(labels)[3])[:-1:2] + 0.25
    given = Instances.build([shapely.Polygon(corners)], source="somebody")
    made = histoseed.prompt(path, mpp=0.25, prompts=given, out=tmp_path / "out.geojson")
    assert made.rows[0]["status"] == "unchanged"
    assert made.rows[0]["iou"] < 1
    write_geojson(tmp_path / "in.geojson", given)
    before, after = (json.loads((tmp_path / f"{n}.geojson").read_text())["features"][0] for n in ("in", "out"))
    assert after["geometry"] == before["geometry"]
    assert after["properties"]["metadata"] == before["properties"]["metadata"]
    assert after["properties"]["measurements"] == {"histoseed: score": made.instances.score[0]}


def _feature(name: str | int, box: tuple[float, ...], *, locked: bool = False) -> dict[str, Any]:
    """As somebody writes it by hand: an id that is no UUID, a name, a measurement."""
    return {
        "type": "Feature", "id": name, "geometry": shapely.box(*box).__geo_interface__,
        "properties": {"name": f"cell {name}", "isLocked": locked, "measurements": {"my grade": 2.5}},
    }  # fmt: skip


def test_what_a_file_says_of_its_objects_survives(drawing: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, _ = drawing
    features = [
        _feature("user-2", (80, 20, 112, 60)), _feature(7, (14, 20, 50, 60)),
        _feature("locked", (140, 20, 180, 60), locked=True),
    ]  # fmt: skip
    (tmp_path / "crude.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    out = tmp_path / "fine.geojson"
    made = histoseed.prompt(path, mpp=0.25, prompts=tmp_path / "crude.geojson", out=out, candidates=True)
    assert [row["given_id"] for row in made.rows] == ["user-2", "7", "locked"]
    assert [row["status"] for row in made.rows] == ["outlined", "outlined", "locked"]
    written = json.loads(out.read_text())["features"]
    own = {f["properties"]["name"]: f["properties"] for f in written if "name" in f["properties"]}
    assert list(own) == ["cell user-2", "cell 7", "cell locked"]
    assert [p["metadata"]["histoseed: source id"] for p in own.values()] == ["user-2", "7", "locked"]
    assert {p["measurements"]["my grade"] for p in own.values()} == {2.5}
    score = own["cell user-2"]["measurements"]["histoseed: score"]
    assert score == pytest.approx(made.rows[0]["score"], abs=1e-4)
    again, _ = read_geojson(out)
    assert [t for t in again.texts if t] == [{"name": f"cell {n}", "id": n} for n in ("user-2", "7", "locked")]


def test_a_bad_object_is_named_by_its_place_in_the_file(drawing: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    path, _ = drawing
    crude = tmp_path / "crude.geojson"
    inside, outside = _feature("user-1", (80, 20, 112, 60)), _feature("user-2", (900, 20, 920, 60))
    crude.write_text(json.dumps([inside, outside]))
    with pytest.raises(InputError, match="outside the slide") as caught:
        histoseed.prompt(path, mpp=0.25, prompts=crude)
    assert caught.value.where == f"{crude}, object 2 of 2 ('user-2', 'cell user-2')"
    for feature in (inside, outside):
        del feature["id"], feature["properties"]
    crude.write_text(json.dumps([inside, outside]))
    with pytest.raises(InputError, match="outside the slide") as caught:
        histoseed.prompt(path, mpp=0.25, prompts=crude)
    assert caught.value.where == f"{crude}, object 2 of 2"


def test_a_file_without_objects_says_what_was_left_out(drawing: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    line = {"type": "Feature", "geometry": {"type": "LineString", "coordinates": [[1, 1], [9, 9]]}, "properties": {}}
    (tmp_path / "line.geojson").write_text(json.dumps(line))
    with pytest.raises(InputError, match=r"no object that could be a prompt\. A LineString encloses nothing"):
        histoseed.prompt(drawing[0], mpp=0.25, prompts=tmp_path / "line.geojson")


def test_random_weights_are_told(drawing: tuple[Path, np.ndarray]) -> None:
    made = histoseed.prompt(drawing[0], mpp=0.25, box=(78, 22, 114, 58), model="tiny-sam")
    assert made.facts["notes"][-1].startswith("The weights of tiny-sam are random numbers")
    made = histoseed.prompt(drawing[0], mpp=0.25, box=(78, 22, 114, 58))
    assert not any("random" in note for note in made.facts["notes"])


def test_the_overlay_is_seen(tmp_path: Path) -> None:
    """On 2,000 pixels a line has three or more, by where it lies between them; candidates have a colour each."""
    Image.new("RGB", (2000, 2000), (232, 190, 215)).save(tmp_path / "ground.png")
    boxes = [shapely.box(200 * k, 200 * k, 200 * k + 400, 200 * k + 400) for k in (1, 3, 5)]
    outlines = Instances.build(boxes, measurements=[{"candidate": float(k)} for k in range(3)])
    rows = [{"id": outlines.id[0], "status": "outlined", "score": 0.5, "iou": None}]
    with open_slide(tmp_path / "ground.png") as slide:
        region = Region(0, 0, 2000, 2000)
        drawn = overlay_png(slide, Instances.empty(), outlines, rows, region=region)
    pixels = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB"))
    for box, color in zip(boxes, [(0, 255, 102), (0, 213, 255), (255, 61, 242)], strict=True):
        x0, y0, _, _ = (int(v) for v in box.bounds)
        across = (pixels[y0 + 100, x0 - 20 : x0 + 20] == color).all(-1)
        assert 3 <= across.sum() <= 5


def test_the_best_candidate_lies_on_top(tmp_path: Path) -> None:
    Image.new("RGB", (200, 200), (232, 190, 215)).save(tmp_path / "ground.png")
    outlines = Instances.build([shapely.box(50, 50, 150, 150)] * 3, measurements=[{"candidate": k} for k in range(3)])
    rows = [{"id": outlines.id[0], "status": "outlined", "score": 0.5, "iou": None}]
    with open_slide(tmp_path / "ground.png") as slide:
        drawn = overlay_png(slide, Instances.empty(), outlines, rows)
    pixels = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB")).reshape(-1, 3)
    assert (pixels == (0, 255, 102)).all(1).any()
    assert not (pixels == (255, 61, 242)).all(1).any()


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
