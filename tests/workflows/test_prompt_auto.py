"""``prompt`` with no click: every object of a region once, whatever the windows; closed forms on a model of discs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from PIL import Image

import histoseed
from histoseed.annotations import read_geojson
from histoseed.errors import InputError, LimitError, UnknownMppError
from histoseed.geometry import Region
from histoseed.prompting import Answer, Candidate, Embedding, Prompt, Window, WindowPolicy
from histoseed.prompting.cleanup import get_clean_up
from histoseed.slides import open_slide
from histoseed.workflows.prompting.asking import Finish
from histoseed.workflows.prompting.automatic import Look, find_everything

PLAIN = Finish(clean=get_clean_up("none"))
SIZE = (420, 300)
DISCS = np.array([[x, y, 9.0 + (x + y) % 4] for x in range(15, 420, 41) for y in range(11, 300, 43)])  # x, y, radius
LARGE = np.array([210.0, 150.0, 60.0])


class Discs:
    """Answers a point with the disc that it lies in, as far as the window shows it."""

    name = "discs"
    policy = WindowPolicy(side=140)
    fingerprint = "discs"

    def __init__(self, discs: np.ndarray = DISCS) -> None:
        self.discs = discs
        self.windows: list[Region] = []
        self.asked: list[tuple[float, float]] = []

    def embed(self, image: Any, window: Window) -> Embedding:
        assert image.shape == (*window.shape, 3)
        self.windows.append(window.region)
        return Embedding(window, self.fingerprint, {})

    def predict(self, embedding: Embedding, prompts: Sequence[Prompt], *, several: bool = False) -> list[Answer]:
        region, (rows, columns) = embedding.window.region, embedding.window.shape
        sx, sy = embedding.window.scale
        x, y = np.meshgrid(region.x + sx * (np.arange(columns) + 0.5), region.y + sy * (np.arange(rows) + 0.5))
        answers = []
        for prompt in prompts:
            (at,) = prompt.positive
            self.asked.append((float(at[0]), float(at[1])))
            hit = [d for d in self.discs if np.hypot(*(at - d[:2])) <= d[2]] or [np.array([0, 0, -9.0])]
            found = [
                Candidate(((r - np.hypot(x - cx, y - cy)) * 40).astype(np.float32), region, 0.95) for cx, cy, r in hit
            ]
            answers.append(Answer(prompt, tuple(found[: None if several else 1])))
        return answers


@pytest.fixture
def blank(tmp_path: Path) -> Path:
    path = tmp_path / "blank.png"
    Image.fromarray(np.full((SIZE[1], SIZE[0], 3), 230, np.uint8)).save(path)
    return path


def whole(discs: np.ndarray, region: tuple[int, int, int, int]) -> set[tuple[int, int]]:
    """Centres of the discs of a region, those cut by the border of the slide included."""
    x, y, w, h = region
    return {(int(d[0]), int(d[1])) for d in discs if x <= d[0] < x + w and y <= d[1] < y + h}


@pytest.mark.parametrize("region", [(0, 0, *SIZE), (130, 70, 233, 122), (3, 5, 60, 40), (410, 280, 10, 20)])
def test_every_disc_of_a_region_once(blank: Path, region: tuple[int, int, int, int]) -> None:
    model = Discs()
    with open_slide(blank, mpp=1.0) as slide:
        found = find_everything(slide, model, Look(proposals="grid", region=region, every_um=7), finish=PLAIN)
    shapes = [o.geometry for o in found.outlines]
    inside = [d for d in DISCS if d[2] + 1 <= d[0] < SIZE[0] - d[2] and d[2] + 1 <= d[1] < SIZE[1] - d[2]]
    centres = {(round(g.centroid.x), round(g.centroid.y)) for g in shapes}
    assert len(shapes) == len(centres)  # each once, also where windows overlap
    assert whole(np.array(inside), region) <= centres
    for shape in shapes:  # nothing is cut, and it is the disc itself
        x, y, radius = DISCS[np.argmin(np.hypot(*(DISCS[:, :2] - [shape.centroid.x, shape.centroid.y]).T))]
        disc = shapely.Point(x, y).buffer(radius).intersection(shapely.box(0, 0, *SIZE))
        assert shape.area == pytest.approx(disc.area, rel=0.06)
    assert len(model.asked) == len(set(model.asked)) == found.asked  # each point in one window
    assert all(r.width * r.height <= 140 * 140 for r in model.windows)  # whatever the region


def test_what_does_not_fit_into_a_window_is_left_out_and_found_in_larger_ones(blank: Path) -> None:
    model = Discs(LARGE[None])
    with open_slide(blank, mpp=1.0) as slide:
        small = find_everything(slide, model, Look(proposals="grid", window_um=100), finish=PLAIN)
        large = find_everything(slide, model, Look(proposals="grid", every_um=20, window_um=280), finish=PLAIN)
    assert small.outlines == []
    assert len(large.outlines) == 1
    assert large.outlines[0].area_px == pytest.approx(np.pi * 60**2, rel=0.01)


def test_nested_objects_stay_on_a_grid(blank: Path) -> None:
    discs = np.array([[210.0, 150.0, 60.0], [210.0, 150.0, 10.0]])
    with open_slide(blank, mpp=1.0) as slide:
        found = find_everything(slide, Discs(discs), Look(proposals="grid", every_um=14, window_um=280), finish=PLAIN)
    assert sorted(round(o.area_px, -2) for o in found.outlines) == [300, 11300]


@pytest.fixture(scope="module")
def drawing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve violet discs on pink ground."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[:256, :256] + 0.5
    inside = np.zeros((256, 256), bool)
    for k in range(12):
        inside |= (y - 40 - 64 * (k // 4)) ** 2 + (x - 32 - 64 * (k % 4)) ** 2 <= (12 + k % 4 * 2) ** 2
    image = np.where(inside[..., None], [105, 65, 140], [232, 190, 215]) + rng.normal(0, 5, (256, 256, 3))
    path = tmp_path_factory.mktemp("drawing") / "discs.png"
    Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)
    return path


def test_the_nuclei_of_the_bundled_segmenter(drawing: Path, tmp_path: Path) -> None:
    out, picture = tmp_path / "all.geojson", tmp_path / "all.png"
    made = histoseed.prompt(drawing, mpp=0.25, auto="nuclei", out=out, overlay=picture)
    proposed = histoseed.segment(drawing, mpp=0.25)
    assert set(made.instances.id) <= set(proposed.id)
    assert made.facts["auto"] == "nuclei"
    assert (made.facts["prompts"], made.facts["windows"]) == (len(proposed), 1)
    assert 11 <= len(made.instances) <= 13
    assert all(row["status"] == "outlined" and row["iou"] > 0.6 for row in made.rows)
    written, _ = read_geojson(out)
    assert written.id.tolist() == made.instances.id.tolist()
    with Image.open(picture) as shown:
        assert max(shown.size) == 2048  # a few objects are enlarged
    part = histoseed.prompt(drawing, mpp=0.25, auto="nuclei", region=(0, 0, 256, 128))
    assert 0 < len(part.rows) < len(made.rows)
    assert all(shape.centroid.y < 128 for shape in part.instances.geometry)
    again = histoseed.prompt(drawing, mpp=0.25, auto="nuclei", region=(0, 0, 256, 128))
    assert all(
        shapely.equals_exact(a, b) for a, b in zip(part.instances.geometry, again.instances.geometry, strict=True)
    )


def test_a_grid_with_the_bundled_model(drawing: Path) -> None:
    made = histoseed.prompt(drawing, auto="grid")
    assert made.facts["prompts"] == 16 * 16  # without a resolution, 32 points along 512 pixels
    assert 10 <= len(made.instances) <= 14
    assert len(set(made.instances.id)) == len(made.instances)


def test_nothing_found_is_an_answer(blank: Path, tmp_path: Path) -> None:
    made = histoseed.prompt(
        blank, mpp=0.25, auto="nuclei", out=tmp_path / "none.geojson", overlay=tmp_path / "none.png"
    )
    assert (len(made.instances), made.rows, made.facts["outlined"]) == (0, [], 0)
    assert (tmp_path / "none.geojson").is_file()
    assert (tmp_path / "none.png").is_file()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"auto": "cells"}, "There is no 'cells'"),
        ({"auto": "grid", "box": (1, 1, 9, 9)}, "everything is to be outlined"),
        ({"auto": "grid", "candidates": True}, "chosen among the candidates"),
        ({"region": (0, 0, 9, 9), "points": [(5, 5)]}, "only where nothing is pointed at"),
        ({"auto": "grid", "region": (900, 0, 9, 9)}, "does not touch the slide"),
        ({"auto": "grid", "region": (0, 0, 9, -9)}, "no extent"),
        ({"auto": "grid", "region": (0, 0, float("nan"), 9)}, "not finite"),
        ({"auto": "nuclei"}, "microns per pixel"),
    ],
)
def test_what_is_refused(blank: Path, tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises((InputError, UnknownMppError), match=said):
        histoseed.prompt(blank, out=tmp_path / "out.geojson", **options)
    assert not (tmp_path / "out.geojson").exists()


def test_options_of_the_look() -> None:
    with pytest.raises(InputError, match="0 micrometres"):
        Look(proposals="grid", every_um=0)
    with pytest.raises(InputError, match="nan micrometres"):
        Look(proposals="grid", window_um=float("nan"))
    with pytest.raises(InputError, match="only a grid has a distance"):
        Look(proposals="nuclei", every_um=4)
    with pytest.raises(InputError, match="between 0 and 1"):
        Look(proposals="nuclei", min_score=1.5)


def test_limits_are_named(blank: Path, drawing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownMppError, match="--every and --window are in micrometres"):
        histoseed.prompt(blank, auto=Look(proposals="grid", every_um=4))
    monkeypatch.setenv("HISTOSEED_MAX_PROMPT_PIXELS", "1000")
    with pytest.raises(LimitError, match="420 x 300 pixels is more than max_prompt_pixels = 1,000"):
        histoseed.prompt(blank, auto="grid")
    monkeypatch.delenv("HISTOSEED_MAX_PROMPT_PIXELS")
    monkeypatch.setenv("HISTOSEED_MAX_PROMPTS", "5")
    with pytest.raises(LimitError, match="A grid of 26 x 19 points is more than max_prompts = 5"):
        histoseed.prompt(blank, auto="grid")
    with pytest.raises(LimitError, match="more nuclei than max_prompts = 5"):
        histoseed.prompt(drawing, mpp=0.25, auto="nuclei")


def test_a_picture_of_many_has_close_ups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawing: Path) -> None:
    """Where objects would be smaller than their outlines, some are shown closely, the doubtful ones first."""
    from histoseed.workflows.prompting import overlay

    monkeypatch.setattr(overlay, "_LONGEST", 64)
    picture = tmp_path / "many.png"
    made = histoseed.prompt(drawing, mpp=0.25, auto="nuclei", overlay=picture)
    kinds = [one.kind for one in overlay._choice(made.rows)]
    assert kinds[:4] == ["least sure"] * 4
    assert len({one.row["id"] for one in overlay._choice(made.rows)}) == len(kinds)
    with Image.open(picture) as shown:
        assert shown.size[0] > 4 * 224
