"""What points and boxes teach: closed forms, and where nothing is taught."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from histoseed.datasets import Marks
from histoseed.encoders import build_encoder
from histoseed.segmenters import (
    KINDS,
    ClassEntry,
    ClassifierEntry,
    EncoderEntry,
    InstanceRepresentation,
    ModelCard,
    Segmenter,
    kinds_of,
)
from histoseed.segmenters.cell_tokens import CellClassifier
from histoseed.training import Picture, draw_crop
from histoseed.training.objectives import mark_batch, mark_losses
from histoseed.training.objectives.boxes import LINES, SLACK, box_class_loss, box_loss
from histoseed.training.objectives.cell_tokens import boxed_class_loss
from histoseed.training.objectives.points import background_loss, point_class_loss, point_loss
from histoseed.training.objectives.remember import free_area, remember_loss
from histoseed.training.objectives.sampled import sampled

SIZE = 32
ONE_BOX = torch.tensor([[[[8.0, 4.0], [16.0, 0.0], [0.0, 20.0]]]])
SEEN = torch.ones(1, 1)


@given(st.integers(1, 2), st.floats(-3, 3), st.floats(-3, 3), st.floats(4, 27), st.floats(4, 27))
def test_a_linear_map_is_read_exactly_between_its_cells(stride, a, b, x, y):
    at = stride * torch.arange(SIZE // stride, dtype=torch.float32) + 0.5
    maps = (a * at[None, :] + b * at[:, None])[None, None]
    value = sampled(maps, torch.tensor([[[[x, y]]]]), SIZE)
    assert value.item() == pytest.approx(a * x + b * y, abs=1e-3)


@pytest.mark.parametrize("z", [-2.0, 0.0, 3.0])
def test_a_constant_map_costs_its_cross_entropy(z):
    maps, point = torch.full((1, SIZE, SIZE), z), torch.tensor([[[10.0, 20.0]]])
    nucleus = math.log1p(math.exp(-z))
    assert point_loss(maps, point, SEEN, core=4, size=SIZE).item() == pytest.approx(nucleus, rel=1e-5)
    assert box_loss(maps, ONE_BOX, SEEN, size=SIZE).item() == pytest.approx(nucleus, rel=1e-5)
    no_nucleus = background_loss(maps, torch.ones(1, SIZE, SIZE, dtype=torch.bool)).item()
    assert no_nucleus == pytest.approx(math.log1p(math.exp(z)), rel=1e-5)


def test_padding_counts_for_nothing():
    maps = torch.randn(1, SIZE, SIZE)
    one, two = torch.tensor([[[10.0, 20.0]]]), torch.tensor([[[10.0, 20.0], [0.0, 0.0]]])
    alone = point_loss(maps, one, SEEN, core=4, size=SIZE)
    padded = torch.tensor([[1.0, 0.0]])
    torch.testing.assert_close(point_loss(maps, two, padded, core=4, size=SIZE), alone)
    boxes = torch.cat([ONE_BOX, torch.zeros_like(ONE_BOX)], 1)
    alone = box_loss(maps, ONE_BOX, SEEN, size=SIZE)
    torch.testing.assert_close(box_loss(maps, boxes, padded, size=SIZE), alone)
    assert point_loss(maps, one, torch.zeros(1, 1), core=4, size=SIZE) == 0


def test_a_point_teaches_nothing_beyond_its_core():
    maps = torch.zeros(1, SIZE, SIZE, requires_grad=True)
    point_loss(maps, torch.tensor([[[16.5, 16.5]]]), SEEN, core=4, size=SIZE).backward()
    y, x = np.mgrid[:SIZE, :SIZE]
    reach = np.hypot(x - 16, y - 16)
    assert (maps.grad[0].numpy()[reach > 4 + math.sqrt(2)] == 0).all()
    assert maps.grad[0, 16, 16] < 0


def test_classes_are_learned_from_classified_points_only():
    logits = torch.zeros(1, 4, SIZE, SIZE)
    logits[:, 2] = 1.0
    points, truth = torch.tensor([[[9.0, 9.0], [20.0, 20.0]]]), torch.tensor([[2, 0]])
    expected = F.cross_entropy(torch.tensor([[0.0, 0.0, 1.0, 0.0]]), torch.tensor([2])).item()
    found = point_class_loss(logits, points, truth, torch.ones(1, 2), core=2, size=SIZE)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    assert point_class_loss(logits, points, torch.zeros_like(truth), torch.ones(1, 2), core=2, size=SIZE) == 0


def test_a_box_is_content_with_whatever_reaches_its_sides():
    """Not the filled box but a mere diagonal: no mask is made of a box."""
    maps = torch.full((1, SIZE, SIZE), -20.0)
    for t in np.linspace(0, 1, 200):
        maps[0, int(4 + 19.9 * t), int(8 + 15.9 * t)] = 20.0
    assert box_loss(maps, ONE_BOX, SEEN, size=SIZE) < 1e-3
    half = maps.clone()
    half[:, 14:] = -20.0
    lines = LINES - 2 * SLACK
    missed = box_loss(half, ONE_BOX, SEEN, size=SIZE).item() / 20
    assert missed == pytest.approx(0.5, abs=1.5 / lines)


def test_a_turned_box_looks_only_inside_itself():
    maps = torch.randn(1, SIZE, SIZE, requires_grad=True)
    corner, side = torch.tensor([16.0, 6.0]), torch.tensor([7.0, 7.0])
    box = torch.stack([corner, side, torch.tensor([-7.0, 7.0])])[None, None]
    box_loss(maps, box, SEEN, size=SIZE).backward()
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    outside = abs(x - 16) + abs(y - 13) > 7 + 2
    assert (maps.grad[0].numpy()[outside] == 0).all()
    assert (maps.grad[0].numpy()[~outside] != 0).any()


def test_the_class_of_a_box_is_that_of_its_nucleus():
    foreground = torch.full((1, SIZE, SIZE), -30.0)
    foreground[:, 8:16, 10:16] = 30.0
    logits = torch.zeros(1, 3, SIZE, SIZE)
    logits[:, 1, 8:16, 10:16] = 30.0
    logits[:, 2][foreground < 0] = 30.0
    right, wrong = (
        box_class_loss(logits, foreground, ONE_BOX, torch.tensor([[k]]), SEEN, size=SIZE).item() for k in (1, 2)
    )
    assert right < 0.1 * wrong


def test_tokens_of_boxes_train_the_classifier():
    torch.manual_seed(0)
    classifier = CellClassifier(3, 2, dropout=0.0).eval()
    tokens = torch.randn(1, 3, 4, 4)
    boxes = torch.tensor([[[0.0, 0.0, 16.0, 8.0], [0.0, 0.0, 0.0, 0.0]]])
    expected = F.cross_entropy(classifier(tokens[0, :, :2, :1].mean((1, 2))[None]), torch.tensor([1]))
    found = boxed_class_loss(classifier, tokens, boxes, torch.tensor([[2, 0]]), SIZE)
    torch.testing.assert_close(found, expected)
    assert boxed_class_loss(classifier, tokens, boxes, torch.zeros(1, 2, dtype=torch.int64), SIZE) == 0


def test_what_the_start_knew_is_kept_only_where_nothing_is_known():
    maps, before = torch.randn(1, 5, SIZE, SIZE), torch.randn(1, 3, SIZE, SIZE)
    unknown = torch.zeros(1, SIZE, SIZE, dtype=torch.bool)
    assert remember_loss(maps, before, unknown) == 0
    unknown[:, 3:9, 5:20] = True
    expected = (maps[:, :3] - before)[:, :, 3:9, 5:20].square().mean()
    torch.testing.assert_close(remember_loss(maps, before, unknown), expected)


def test_around_a_point_that_the_start_missed_nothing_is_kept():
    points = torch.tensor([[[8.0, 8.0], [24.0, 24.0]]])
    area = free_area(points, torch.tensor([[True, False]]), reach=8.0, size=SIZE)
    assert area[0, 8, 8]
    assert not area[0, 24, 24]
    y, x = np.mgrid[:SIZE, :SIZE]
    assert not area[0].numpy()[np.hypot(x - 8, y - 8) > 8 + 8].any()


def marked_discs(seed=0, size=96, count=9, radius=7):
    """Discs that do not touch, with their points, boxes and labels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.int32)
    centres = []
    for k in range(count):
        cy, cx = 16 + 32 * (k // 3), 16 + 32 * (k % 3)
        cy, cx = cy + rng.integers(-5, 6), cx + rng.integers(-5, 6)
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = k + 1
        centres.append((cx + 0.5, cy + 0.5))
    centres = np.array(centres)
    kinds = np.arange(1, count + 1, dtype=np.int32)
    boxes = np.concatenate([centres - radius - 0.5, centres + radius + 0.5], 1)
    marks = Marks(points=centres, point_classes=kinds, boxes=boxes, box_classes=kinds)
    image = np.where(labels[..., None] > 0, [110, 60, 140], [235, 200, 225]).astype(np.uint8)
    return Picture(image, labels, np.arange(count + 1), marks=marks)


@given(st.integers(0, 10**6))
def test_marks_turn_with_their_crop(seed):
    picture = marked_discs()
    crop = draw_crop(picture, 64, np.random.default_rng(seed))
    for (x, y), kind in zip(crop.points, crop.point_classes, strict=True):
        if min(x, y) > 3 and max(x, y) < 61:
            assert crop.labels[int(y), int(x)] == kind
    for (corner, first, second), kind in zip(crop.boxes, crop.box_classes, strict=True):
        x, y = corner + first / 2 + second / 2
        assert crop.labels[int(y), int(x)] == kind
        assert abs(first @ second) < 1e-6 * (first @ first)
        zoom = np.hypot(*first) / 15
        assert 0.79 < zoom < 1.26
        corners = np.array([corner, corner + first, corner + second, corner + first + second])
        assert corners.min() >= 0
        assert corners.max() <= 64


def test_marks_of_several_crops_are_padded():
    picture = marked_discs()
    crops = [draw_crop(picture, 96, np.random.default_rng(0), scale=(1, 1), turn=False) for _ in range(2)]
    empty = draw_crop(Picture(picture.image, picture.labels), 96, np.random.default_rng(0))
    batch = mark_batch([*crops, empty], torch.device("cpu"))
    assert batch.points.shape == (3, 9, 2)
    assert batch.point_seen.sum(1).tolist() == [9.0, 9.0, 0.0]
    assert batch.centres.shape == (3, 18, 2)
    torch.testing.assert_close(batch.centres[0, :9], batch.centres[0, 9:])
    assert batch.sided.tolist() == [1.0, 1.0, 1.0]


def test_without_any_known_background_points_teach_classes_only():
    picture = marked_discs()
    nothing = np.zeros(picture.labels.shape, bool)
    partly = Picture(picture.image, nothing.astype(np.int32), None, ~nothing, marks=picture.marks, background=nothing)
    crop = draw_crop(partly, 96, np.random.default_rng(0))
    assert len(crop.points)
    assert mark_batch([crop], torch.device("cpu")).sided.tolist() == [0.0]


INSTANCE_KINDS = kinds_of("instance")


@pytest.mark.parametrize("name", INSTANCE_KINDS)
def test_every_kind_tells_its_foreground(name):
    """The logit agrees with what the kind's own activation calls a nucleus."""
    representation: InstanceRepresentation = KINDS[name].representation
    raw = torch.randn(1, representation.outputs(0), 8, 8)
    decoder = SimpleNamespace(pixel_weights=lambda: None)
    if name == "instanseg":
        found = raw[:, 4].sigmoid()
    else:
        maps = representation.activated(raw, 0, decoder)
        arrays = {"skip": "semantic", "cellvit": "nucleus", "stardist": "probability"}
        found = torch.from_numpy(getattr(maps, arrays[name]))
        found = 1 - found[:, 0] if name == "skip" else found
    torch.testing.assert_close(representation.foreground(raw).sigmoid(), found)


def tiny_model(kind, classifier="map"):
    narrow = {"stack": (8, 8)} if kind == "cellvit" else {"image_widths": (4, 4)}
    card = ModelCard(
        histoseed="test",
        name="tiny",
        classes=tuple(ClassEntry(name=str(k)) for k in range(1, 10)),
        mpp=0.25,
        crop=64,
        encoder=EncoderEntry(name="bundled", weights="random"),
        decoder=KINDS[kind].entry(widths=(8, 8, 8, 8), **narrow),
        postprocessing=KINDS[kind].processing(),
        classifier=ClassifierEntry(kind=classifier, dropout=0.0),
    )
    torch.manual_seed(0)
    return Segmenter(build_encoder("bundled", weights="random", image_size=64), card)


@pytest.mark.parametrize(("kind", "classifier"), [*((name, "map") for name in INSTANCE_KINDS), ("skip", "tokens")])
def test_marks_teach_foreground_and_classes_and_no_shape(kind, classifier):
    """Of the maps that know no class, only those that tell the foreground are trained."""
    model = tiny_model(kind, classifier)
    picture = marked_discs(size=96)
    crops = [draw_crop(picture, 64, np.random.default_rng(seed)) for seed in (0, 1)]
    images = torch.from_numpy(np.stack([c.image for c in crops])).permute(0, 3, 1, 2).float() / 255
    features = model.encoder(images)
    maps = model.decode(images, features)
    maps.retain_grad()
    batch = mark_batch(crops, torch.device("cpu"))
    losses = mark_losses(model, maps, features[-1], batch, points=True, boxes=True)
    assert set(losses) == {"point", "point class", "box", "box class", "background"}
    torch.stack(list(losses.values())).sum().backward()
    shared = model.representation.outputs(0)
    taught = maps.grad.abs().sum((0, 2, 3)) > 0
    foreground = {"skip": {0, 1, 2}, "cellvit": {0, 1}, "stardist": {0}, "instanseg": {4}}[kind]
    assert set(torch.nonzero(taught[:shared]).flatten().tolist()) == foreground
    if classifier == "map":
        assert taught[shared:].all()
    else:
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.classifier.parameters())
    only_points = mark_losses(model, maps, features[-1], batch, points=True, boxes=False)
    assert set(only_points) == {"point", "point class", "background"}


def test_the_less_a_start_finds_the_less_of_it_is_kept():
    model = tiny_model("skip")
    picture = marked_discs(size=96)
    nothing = np.zeros(picture.labels.shape, bool)
    open_picture = Picture(
        picture.image, nothing.astype(np.int32), None, ~nothing, marks=picture.marks, background=nothing
    )
    crop = draw_crop(open_picture, 96, np.random.default_rng(0), scale=(1, 1), turn=False)
    assert crop.unknown.all()
    batch, tokens = mark_batch([crop], torch.device("cpu")), torch.zeros(1)
    maps = torch.zeros(1, model.representation.outputs(9), 96, 96)

    def kept(found):
        before = torch.zeros_like(maps)
        before[:, 0] = 5.0
        for k in range(1, found + 1):
            before[:, :2, torch.from_numpy(picture.labels == k)] = torch.tensor([-5.0, 5.0])[:, None]
        return mark_losses(model, maps, tokens, batch, points=True, boxes=False, before=before)["remembered"]

    assert kept(0) == 0
    assert 0 < kept(4) < kept(9)
