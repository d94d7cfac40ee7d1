"""``encoders robustness``: balanced samples, tokens under nuclei, and what a data set must have."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import shapely
import torch

from histoseed.annotations import Instances
from histoseed.datasets import Crop, DatasetInfo, DatasetWriter, named_classes, read_dataset
from histoseed.encoders import build_encoder
from histoseed.errors import DatasetError, InputError
from histoseed.workflows.encoder_robustness import encoder_robustness
from histoseed.workflows.progress import Silent
from histoseed.workflows.robustness import Nucleus, balanced_samples, embed_samples, nucleus_weights

SIDE = 64
"""Pixels of a patch: smaller than a square of 64 um, so that it is one of 32 um, at 0.5 microns per pixel."""
RED, BLUE = (190, 60, 90), (70, 60, 170)


def write(
    folder: Path,
    *,
    centres: str | None = "xy",
    names: tuple[str, ...] = ("red", "blue"),
    cases: int = 3,
    points: bool = False,
    organs: bool = False,
    stained: bool = False,
) -> Path:
    """Two patches a case: discs of both classes, in the colour of their class or (``stained``) of their centre."""
    y, x = np.mgrid[:SIDE, :SIDE]
    with DatasetWriter(folder, DatasetInfo(name="discs", classes=named_classes(list(names)))) as writer:
        for centre in centres or "-":
            for case in range(cases):
                rng = np.random.default_rng(100 * ord(centre) + case)
                for k in range(2):
                    image = np.full((SIDE, SIDE, 3), 235.0)
                    labels = np.zeros((SIDE, SIDE), np.int32)
                    class_of, places = {}, []
                    for spot in range(4):
                        cy, cx = 16 + spot // 2 * 32, 16 + spot % 2 * 32
                        name = names[(spot + k) % len(names)] if not organs else names[k % len(names)]
                        inside = (y - cy) ** 2 + (x - cx) ** 2 <= 100
                        red = (centre == "x") if stained else (name == names[0])
                        image[inside] = RED if red else BLUE
                        labels[inside] = spot + 1
                        class_of[spot + 1] = name
                        places.append((cx + 0.5, cy + 0.5))
                    image += rng.normal(0, 8, image.shape)
                    patch = f"{centre}{case}-{k}"
                    ids = [f"00000000-0000-4000-8000-{n:012d}" for n in range(4)]
                    marks = Instances.build(
                        [shapely.Point(p) for p in places], class_name=list(class_of.values()), kind="point", id=ids
                    )
                    writer.add(
                        patch, image.clip(0, 255).astype(np.uint8), marks if points else labels,
                        class_of=None if points else class_of, mpp=0.5, patient=f"{centre}{case}",
                        centre=centre if centres else None, organ=("liver", "lung")[k] if organs else None,
                    )  # fmt: skip
    return folder


class Colour(torch.nn.Module):
    """An encoder whose tokens are mean colours, one of 8 x 8 pixels."""

    channels = (3,)
    weights = "none"
    mean = torch.zeros(1)

    def freeze(self) -> Colour:
        return self

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        return [torch.nn.functional.avg_pool2d(x - 0.5, 8)]


@pytest.fixture(autouse=True)
def _colour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("histoseed.workflows.encoder_robustness.build_encoder", lambda *args, **options: Colour())


def measure(folder: Path, **options: object) -> list:
    return encoder_robustness(folder, ["bundled"], resamples=20, device="cpu", **options)


def test_colour_of_the_class_is_robust_and_colour_of_the_centre_is_not(tmp_path: Path) -> None:
    by_class = measure(write(tmp_path / "class"), levels=["nucleus"], most=12)[0]
    by_centre = measure(write(tmp_path / "centre", stained=True), levels=["nucleus"], most=12)[0]
    assert by_class.index.pathorob.value == by_class.index.accuracy == 1
    assert (by_class.encoder, by_class.weights, by_class.mpp, by_class.each) == ("bundled", "none", 0.25, 12)
    assert by_centre.index.centre_accuracy == 1
    assert by_centre.index.accuracy < 0.7
    # Fixed, since no number of neighbours predicts the class: 8 of either class in other cases of the same centre.
    fixed = measure(tmp_path / "centre", levels=["nucleus"], most=12, k=16)[0]
    assert fixed.index.pathorob.value == 0
    assert fixed.index.dejong.value == 0.5


def test_samples_are_balanced_and_cases_take_turns(tmp_path: Path) -> None:
    data = read_dataset(write(tmp_path / "data", cases=4))
    found = balanced_samples(data, "nucleus", most=8, least=5, seed=0)
    assert Counter((s.name, s.centre) for s in found.samples) == dict.fromkeys(
        [(n, c) for n in ("red", "blue") for c in "xy"], 8
    )
    assert set(Counter(s.case for s in found.samples).values()) == {4}
    assert found.each == 8
    assert found.remarks == []
    again = balanced_samples(data, "nucleus", most=8, least=5, seed=0)
    assert again.samples == found.samples
    assert balanced_samples(data, "nucleus", most=8, least=5, seed=1).samples != found.samples


def test_a_patch_is_of_its_organ_or_of_its_majority(tmp_path: Path) -> None:
    by_organ = read_dataset(write(tmp_path / "organ", organs=True))
    found = balanced_samples(by_organ, "patch", most=9, least=2, seed=0)
    assert {s.name for s in found.samples} == {"liver", "lung"}
    assert all(s.nucleus is None for s in found.samples)
    three = read_dataset(write(tmp_path / "three", names=("red", "blue", "grey")))  # none has more than half
    with pytest.raises(DatasetError, match="No two classes"):
        balanced_samples(three, "patch", most=9, least=2, seed=0)
    (only,) = measure(tmp_path / "three", most=6)
    assert only.level == "nucleus"


def test_points_stand_for_discs(tmp_path: Path) -> None:
    """Discs of 5 um: a disc of 4 um in their middle sees much the same."""
    (points,) = measure(write(tmp_path / "points", points=True), levels=["nucleus"], most=8)
    assert points.index.pathorob.value == 1


def test_a_centre_may_stand_in_the_barcode(tmp_path: Path) -> None:
    labels = np.zeros((SIDE, SIDE), np.int32)
    labels[10:20, 10:20], labels[40:50, 40:50] = 1, 2
    info = DatasetInfo(name="tcga", classes=named_classes(["a", "b"]))
    with DatasetWriter(tmp_path / "tcga", info) as writer:
        for patient in ("A7-0001", "A7-0002", "E2-0003", "E2-0004"):
            name = f"TCGA-{patient}-01Z-00-DX1"
            writer.add(name, np.full((SIDE, SIDE, 3), 200, np.uint8), labels, class_of={1: "a", 2: "b"}, mpp=0.5)
    found = balanced_samples(read_dataset(tmp_path / "tcga"), "nucleus", most=9, least=1, seed=0)
    assert {s.centre for s in found.samples} == {"A7", "E2"}
    assert {s.case for s in found.samples} == {f"TCGA-{p}" for p in ("A7-0001", "A7-0002", "E2-0003", "E2-0004")}


def test_one_centre_is_named_and_where_it_was_looked_for(tmp_path: Path) -> None:
    names = ["TCGA-A7-0001-01Z-00-DX1", "TCGA-A7-0002-01Z-00-DX1", "p3", "p4"]
    for name, centres, told in (
        ("one", [None, None, "A7", None], "one centre only, 'A7'.*states one for 1 of 4 patches.*for 2 more"),
        ("none", [None] * 2, r"No centre is named.*for 0 of 2 patches.*for 0 more.*groups\.csv"),
    ):
        with DatasetWriter(tmp_path / name, DatasetInfo(name=name)) as writer:
            for patch, centre in zip(names[-len(centres) :], centres, strict=True):
                labels = np.zeros((SIDE, SIDE), np.int32)
                labels[10:20, 10:20] = 1
                writer.add(patch, np.full((SIDE, SIDE, 3), 200, np.uint8), labels, centre=centre, mpp=0.5)
        with pytest.raises(DatasetError, match=told):
            balanced_samples(read_dataset(tmp_path / name), "nucleus", most=9, least=1, seed=0)


def test_what_cannot_be_measured_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No centre is named, and two are compared"):
        measure(write(tmp_path / "nowhere", centres=None))
    with pytest.raises(DatasetError, match="No two classes"):
        measure(write(tmp_path / "alone", names=("red",)))
    with pytest.raises(InputError, match="At least one encoder"):
        encoder_robustness(tmp_path / "alone", [])
    with pytest.raises(InputError, match="level"):
        measure(tmp_path / "alone", levels=["slide"])


def test_single_cases_are_taken_only_where_there_are_no_others(tmp_path: Path) -> None:
    data = read_dataset(write(tmp_path / "single", cases=1))
    found = balanced_samples(data, "nucleus", most=9, least=3, seed=0)
    assert "One case only" in found.remarks[0]


CROP = Crop("p", 32, 16, 64, 32.0, 1, None)


def test_a_token_counts_by_the_area_that_the_nucleus_covers() -> None:
    labels = np.zeros((128, 128), np.int32)
    labels[16:32, 40:56] = 7  # rows 0..16 and columns 8..24 of the crop; tokens of 16 pixels
    nucleus = Nucleus(7, (40, 16, 56, 32), "mask")
    weights = nucleus_weights(labels, nucleus, CROP, 0.5, (4, 4))
    expected = np.zeros((4, 4))
    expected[0, 0] = expected[0, 1] = 0.5
    np.testing.assert_allclose(weights, expected)
    box = nucleus_weights(labels, Nucleus(None, (40, 16, 56, 32), "box"), CROP, 0.5, (4, 4))
    np.testing.assert_allclose(box, expected)
    point = nucleus_weights(labels, Nucleus(None, (64.0, 48.0, 64.0, 48.0), "point"), CROP, 0.5, (4, 4))
    np.testing.assert_allclose(point, np.pad(np.full((2, 2), point[1, 1]), 1), atol=1e-6)
    assert point.sum() * 16**2 == pytest.approx(np.pi * 8**2, rel=0.05)
    gone = nucleus_weights(labels, Nucleus(9, (80, 64, 80.5, 64.5), "mask"), CROP, 0.5, (4, 4))
    assert gone.sum() == gone[3, 3] == 1


def test_an_embedding_is_the_mean_of_those_tokens(tmp_path: Path) -> None:
    data = read_dataset(write(tmp_path / "data", cases=1))
    encoder = build_encoder("bundled", weights="bundled").eval()
    samples = balanced_samples(data, "nucleus", most=3, least=1, seed=0).samples
    rows = embed_samples(data, samples, encoder, 0.5, Silent())
    patch = data.patch(samples[0].crop.patch_id)
    with torch.inference_mode():
        x = torch.from_numpy(patch.image).permute(2, 0, 1)[None].float() / 255
        tokens = encoder(x)[-1][0].numpy()
    cell = SIDE // tokens.shape[1]
    mask = (patch.labels == samples[0].nucleus.label).reshape(SIDE // cell, cell, SIDE // cell, cell).mean((1, 3))
    np.testing.assert_allclose(rows[0], (tokens * mask).sum((1, 2)) / mask.sum(), rtol=1e-4, atol=1e-5)
