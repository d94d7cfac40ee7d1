"""The published codes and ours, with the same random weights, give the same masks and scores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import segment_anything
import torch

from fixtures import tiny_sam as tiny
from histoseed.geometry import Region
from histoseed.prompting import Answer, MaskPrompt, Prompt, Window
from histoseed.prompting.sam import load_promptable

RNG = np.random.default_rng(0)
ROWS, COLUMNS = 150, 200
WINDOW = Window(Region(1000.0, 600.0, 2 * COLUMNS, 2 * ROWS), (ROWS, COLUMNS))  # two level-0 pixels a pixel
WAVES = 128 + 90 * np.sin(np.arange(ROWS * COLUMNS * 3).reshape(ROWS, COLUMNS, 3) / [7, 11, 13])
PICTURE = (WAVES + RNG.normal(0, 20, WAVES.shape)).clip(0, 255).astype(np.uint8)

BOX = np.array([60.0, 40.0, 120.0, 100.0])
INSIDE, OUTSIDE = np.array([[80.0, 60.0], [100.0, 80.0]]), np.array([[20.0, 130.0]])
KINDS = {
    "box": (BOX, INSIDE[:0], OUTSIDE[:0]),
    "click": (None, INSIDE[:1], OUTSIDE[:0]),
    "points": (None, INSIDE, OUTSIDE[:0]),
    "both signs": (None, INSIDE, OUTSIDE),
    "box and points": (BOX, INSIDE[:1], OUTSIDE),
}
Ask = Callable[..., tuple[Any, Any]]


def level0(points: np.ndarray) -> np.ndarray:
    """Pixels of the window as the library counts them, (0, 0) the corner of the first -> level-0 pixels."""
    return points * 2 + [1000, 600]


def prompt_of(box: Any, inside: Any, outside: Any, mask: Any = None) -> Prompt:
    corners = None if box is None else tuple(level0(box.reshape(2, 2)).reshape(-1))
    return Prompt(box=corners, positive=level0(inside), negative=level0(outside), mask=mask)


def save(network: torch.nn.Module, path: Path, *, key: str | None = None) -> Path:
    state = network.state_dict()
    torch.save(state if key is None else {key: state}, path)
    return path


def pixel_centred(points: np.ndarray, frame: Any) -> np.ndarray:
    """Window pixels for a predictor, which adds half a pixel in the *square*: the same place as ours."""
    return points - 0.5 / np.array([frame.columns / COLUMNS, frame.rows / ROWS])


def asker(predictor: Any, frame: Any) -> Ask:
    """The predictor of the published code, asked in its own words."""

    def ask(box: Any, inside: Any, outside: Any, mask: Any, *, several: bool) -> tuple[Any, Any]:
        points = pixel_centred(np.concatenate([inside, outside]), frame)
        labels = np.array([1] * len(inside) + [0] * len(outside))
        _, scores, low = predictor.predict(
            point_coords=points if len(points) else None, point_labels=labels if len(points) else None,
            box=None if box is None else pixel_centred(box.reshape(2, 2), frame).reshape(-1), mask_input=mask,
            multimask_output=several, return_logits=True,
        )  # fmt: skip
        return low, scores

    return ask


def theirs_of(name: str) -> tuple[torch.nn.Module, Any]:
    torch.manual_seed(1)
    if name.startswith("sam2"):
        network = tiny.sam2_network()
        return network, tiny.sam2_predictor(network)
    library = tiny.import_hq() if name.startswith("sam-hq") else segment_anything
    network = tiny.segment_anything_of(library, hq=name.startswith("sam-hq"))
    return network, library.SamPredictor(network)


@pytest.fixture(scope="module", params=["sam-vit-b", "sam-hq-vit-b", "sam2.1-hiera-t"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Ask]:
    path = tmp_path_factory.mktemp("weights") / "meta.pth"
    network, predictor = theirs_of(request.param)
    save(network, path, key="model" if request.param.startswith("sam2") else None)
    ours = load_promptable(tiny.tiny_card(request.param), weights=path)
    predictor.set_image(PICTURE)
    return ours, asker(predictor, ours.frame(WINDOW))


def same(model: Any, answer: Answer, low: Any, scores: Any, *, several: bool) -> None:
    """Our candidates are theirs, best first; where the published code hands out the best of three only, our first."""
    order = np.argsort(-scores, kind="stable")[: None if several else 1]
    found = np.stack([candidate.logits for candidate in answer.candidates])
    assert len(found) == (3 if several else 1)
    found = found.clip(-32, 32) if model.name.startswith("sam2") else found  # as its predictor hands them out
    rows, columns = model.frame(WINDOW).covered
    np.testing.assert_allclose(found[: len(order)], low[order][:, :rows, :columns], rtol=1e-4, atol=2e-4)
    score = [candidate.score for candidate in answer.candidates][: len(order)]
    np.testing.assert_allclose(score, scores[order].clip(0, 1), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("several", [False, True])
def test_masks_and_scores_are_those_of_the_published_code(pair: Any, kind: str, several: bool) -> None:
    model, ask = pair
    low, scores = ask(*KINDS[kind], None, several=several or kind == "click")
    assert np.ptp(low) > 0.5  # else everything would be close to everything
    assert (np.abs(scores - 0.5) < 0.5).all()
    (answer,) = model.predict(model.embed(PICTURE, WINDOW), [prompt_of(*KINDS[kind])], several=several)
    same(model, answer, low, scores, several=several)


@pytest.mark.parametrize("kind", [None, "box", "both signs"])
def test_a_mask_is_taken_as_logits(pair: Any, kind: str | None) -> None:
    model, ask = pair
    box, inside, outside = KINDS[kind] if kind else (None, INSIDE[:0], OUTSIDE[:0])
    frame = model.frame(WINDOW)
    logits = np.full((64, 64), -9.0, np.float32)
    rows, columns = frame.covered
    logits[:rows, :columns] = RNG.normal(0, 3, (rows, columns)).clip(-9, 9)
    logits[0, 0] = 9
    mask = MaskPrompt(logits[:rows, :columns].copy(), frame.region)
    low, scores = ask(box, inside, outside, logits[None], several=False)
    (answer,) = model.predict(model.embed(PICTURE, WINDOW), [prompt_of(box, inside, outside, mask)])
    same(model, answer, low, scores, several=False)
    (other,) = model.predict(
        model.embed(PICTURE, WINDOW),
        [prompt_of(box, inside, outside, MaskPrompt((mask.logits > 0).astype(np.float32), frame.region))],
    )
    assert np.abs(other.candidates[0].logits - answer.candidates[0].logits).max() > 0.01


def test_medsam_sees_what_its_authors_program_makes(tmp_path: Path) -> None:
    from skimage.transform import resize

    network, _ = theirs_of("sam-vit-b")
    model = load_promptable(tiny.tiny_card("medsam"), weights=save(network, tmp_path / "medsam_vit_b.pth"))
    square = resize(PICTURE, (256, 256), order=3, preserve_range=True, anti_aliasing=True).astype(np.uint8)
    square = (square - square.min()) / (square.max() - square.min())
    with torch.no_grad():
        image = network.image_encoder(torch.tensor(square).float().permute(2, 0, 1)[None])
        corners = torch.tensor(BOX / [COLUMNS, ROWS, COLUMNS, ROWS] * 256).float()[None] - 0.5
        sparse, dense = network.prompt_encoder(points=None, boxes=corners, masks=None)
        low, scores = network.mask_decoder(
            image_embeddings=image, image_pe=network.prompt_encoder.get_dense_pe(), sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense, multimask_output=False,
        )  # fmt: skip
    (answer,) = model.predict(model.embed(PICTURE, WINDOW), [prompt_of(*KINDS["box"])])
    same(model, answer, low[0].numpy(), scores[0].numpy(), several=False)
    assert answer.candidates[0].region == WINDOW.region


def test_pathosam_sees_channels_stretched_to_eight_bits(tmp_path: Path) -> None:
    network, predictor = theirs_of("sam-vit-b")
    state = {"model_state": {f"sam.{key}": value for key, value in network.state_dict().items()}}
    torch.save(state, tmp_path / "best.pt")  # as micro-sam's training writes it
    model = load_promptable(tiny.tiny_card("pathosam-vit-b"), weights=tmp_path / "best.pt")
    pale = (PICTURE // 3 + [100, 60, 120]).astype(np.uint8)
    values = pale.astype("float32") - pale.min((0, 1))
    predictor.set_image((values / (values.max((0, 1)) + 1e-7) * 255).astype("uint8"))
    low, scores = asker(predictor, model.frame(WINDOW))(*KINDS["box"], None, several=True)
    (answer,) = model.predict(model.embed(pale, WINDOW), [prompt_of(*KINDS["box"])], several=True)
    same(model, answer, low, scores, several=True)


def test_mobilesam_is_that_of_the_published_code(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = tiny.mobile_sam_of(tiny.import_hq(), segment_anything)
    model = load_promptable(tiny.tiny_card("mobile-sam"), weights=save(network, tmp_path / "mobile_sam.pt"))
    predictor = segment_anything.SamPredictor(network)
    predictor.set_image(PICTURE)
    low, scores = asker(predictor, model.frame(WINDOW))(*KINDS["box and points"], None, several=True)
    assert np.ptp(low) > 0.5
    assert len(set(scores.clip(0, 1))) < 3  # two are alike within 0 and 1, and ordered all the same
    seen = model.embed(PICTURE, WINDOW)
    np.testing.assert_allclose(seen.tensors["image"], predictor.features, rtol=1e-4, atol=2e-4)
    (answer,) = model.predict(seen, [prompt_of(*KINDS["box and points"])], several=True)
    same(model, answer, low, scores, several=True)


@pytest.mark.parametrize("shape", [(256, 256), (90, 61), (400, 300)])
def test_windows_of_any_size_are_seen_as_by_the_published_code(pair: Any, shape: tuple[int, int]) -> None:
    model, _ = pair
    _, predictor = theirs_of(model.name)
    picture = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    predictor.set_image(picture)
    theirs = predictor._features["image_embed"] if model.name.startswith("sam2") else predictor.features
    ours = model.embed(picture, Window(Region(0, 0, *shape[::-1]), shape)).tensors["image"]
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-4, atol=2e-5)
