"""The losses of the papers: hand-computed values, limiting cases, gradients against finite differences, ignore area."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from histoseed.errors import InputError
from histoseed.training.losses import (
    binary_cross_entropy_loss,
    binary_dice_loss,
    binary_focal_loss,
    binary_focal_tversky_loss,
    cross_entropy_loss,
    dice_loss,
    focal_loss,
    focal_tversky_loss,
    hv_gradient_loss,
    hv_loss,
    lovasz_hinge_loss,
    lovasz_softmax_loss,
)

BINARY = [
    binary_cross_entropy_loss,
    binary_focal_loss,
    binary_dice_loss,
    binary_focal_tversky_loss,
    lovasz_hinge_loss,
]
CLASSES = [cross_entropy_loss, focal_loss, dice_loss, focal_tversky_loss, lovasz_softmax_loss]
POOLED = [binary_dice_loss, binary_focal_tversky_loss, dice_loss, focal_tversky_loss]


def name(loss):
    return loss.__name__


def random(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def whole(seed, top, *shape):
    return torch.randint(top, shape, generator=torch.Generator().manual_seed(seed))


def logit(*p):
    p = torch.tensor(p, dtype=torch.float64)
    return (p / (1 - p)).log()


def close(loss, value):
    assert float(loss) == pytest.approx(value, abs=1e-9)


# Hand-computed values ------------------------------------------------------------------------------------------------


def test_binary_cross_entropy_by_hand():
    z, t = logit(0.8, 0.4), torch.tensor([1.0, 0.0])
    close(binary_cross_entropy_loss(z, t), -(math.log(0.8) + math.log(0.6)) / 2)
    close(binary_cross_entropy_loss(z, t, positive_weight=3), -(3 * math.log(0.8) + math.log(0.6)) / 2)
    close(binary_cross_entropy_loss(z, t, torch.tensor([3.0, 1.0])), -(3 * math.log(0.8) + math.log(0.6)) / 4)


def test_cross_entropy_by_hand():
    p = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.5, 0.2]], dtype=torch.float64)
    z, t = p.log(), torch.tensor([0, 2])
    close(cross_entropy_loss(z, t), -(math.log(0.7) + math.log(0.2)) / 2)
    weights = torch.tensor([1.0, 5.0, 3.0])
    close(cross_entropy_loss(z, t, class_weights=weights), -(math.log(0.7) + 3 * math.log(0.2)) / 4)


def test_focal_by_hand():
    z, t = logit(0.8, 0.4), torch.tensor([1.0, 0.0])
    terms = (0.2**2 * -math.log(0.8), 0.4**2 * -math.log(0.6))
    close(binary_focal_loss(z, t), sum(terms) / 2)
    close(binary_focal_loss(z, t, alpha=0.25), (0.25 * terms[0] + 0.75 * terms[1]) / 2)
    p = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.5, 0.2]], dtype=torch.float64)
    many = (0.3**2 * -math.log(0.7), 0.8**2 * -math.log(0.2))
    close(focal_loss(p.log(), torch.tensor([0, 2])), sum(many) / 2)
    alpha = torch.tensor([2.0, 1.0, 4.0])
    close(focal_loss(p.log(), torch.tensor([0, 2]), alpha=alpha), (2 * many[0] + 4 * many[1]) / 2)


def test_dice_by_hand():
    z, t = logit(0.9, 0.6, 0.3), torch.tensor([1.0, 1.0, 0.0])
    close(binary_dice_loss(z, t, smooth=0), 1 - 2 * 1.5 / (1.8 + 2))
    close(binary_dice_loss(z, t), 1 - (2 * 1.5 + 1e-3) / (1.8 + 2 + 1e-3))
    p = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.5, 0.2]], dtype=torch.float64)
    classes = [1 - 2 * 0.7 / (1.0 + 1), 1 - 0 / 0.7, 1 - 2 * 0.2 / (0.3 + 1)]
    truth = torch.tensor([0, 2])
    close(dice_loss(p.log(), truth, smooth=0), sum(classes) / 3)
    close(dice_loss(p.log(), truth, smooth=0, reduction="sum"), sum(classes))
    close(dice_loss(p.log(), truth, smooth=0, present_only=True), (classes[0] + classes[2]) / 2)


def test_focal_tversky_by_hand():
    z, t = logit(0.9, 0.6, 0.3), torch.tensor([1.0, 1.0, 0.0])
    hit, missed, invented = 1.5, 0.5, 0.3
    index = hit / (hit + 0.7 * missed + 0.3 * invented)  # alpha 0.7, beta 0.3, exponent 4/3: specification B.1
    close(binary_focal_tversky_loss(z, t, smooth=0), (1 - index) ** (4 / 3))
    p = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.5, 0.2]], dtype=torch.float64)
    truth = torch.tensor([0, 2])
    counts = [(0.7, 0.3, 0.3), (0.0, 0.0, 0.7), (0.2, 0.8, 0.1)]
    classes = [(1 - h / (h + 0.7 * m + 0.3 * i)) ** (4 / 3) for h, m, i in counts]
    close(focal_tversky_loss(p.log(), truth, smooth=0), sum(classes) / 3)
    close(focal_tversky_loss(p.log(), truth, smooth=0, reduction="sum"), sum(classes))
    close(focal_tversky_loss(p.log(), truth, smooth=0, present_only=True), (classes[0] + classes[2]) / 2)
    weights = torch.tensor([1.0, 2.0, 4.0])
    weighted = classes[0] + 2 * classes[1] + 4 * classes[2]
    close(focal_tversky_loss(p.log(), truth, smooth=0, reduction="sum", class_weights=weights), weighted)


def test_lovasz_hinge_by_hand():
    # Errors 1 - z (2 t - 1): 2, 1.5, 0.5, and one below zero. Sorted, the Jaccard loss of the sets of the first
    # 1, 2, 3 wrong pixels (truth 1, 0, 1 among two true ones): 1/2, 1 - 1/3, 1 - 0/3; prices are the differences.
    z = torch.tensor([[-1.0, 0.5, 0.5, -4.0]], dtype=torch.float64)
    t = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    close(lovasz_hinge_loss(z, t), 2 * (1 / 2) + 1.5 * (2 / 3 - 1 / 2) + 0.5 * (1 - 2 / 3))


# Limiting cases and identities ---------------------------------------------------------------------------------------


def jaccard_loss(found, truth):
    union = (found | truth).sum()
    return 0.0 if union == 0 else 1 - int((found & truth).sum()) / int(union)


@pytest.mark.parametrize("truth", list(itertools.product([False, True], repeat=4)))
def test_the_lovasz_hinge_of_margins_one_and_none_is_the_jaccard_loss_of_every_set(truth):
    truth = torch.tensor(truth)
    for found in itertools.product([False, True], repeat=4):
        wrong = torch.tensor(found) != truth
        signs = 2.0 * truth - 1
        z = torch.where(wrong, 0.0, 1.0) * signs  # errors 1 and 0
        close(lovasz_hinge_loss(z[None].double(), truth[None]), jaccard_loss(torch.tensor(found), truth))


def test_the_lovasz_softmax_of_sure_maps_is_one_minus_the_mean_jaccard_index():
    truth, found = whole(0, 4, 2, 5, 5), whole(1, 4, 2, 5, 5)
    logits = 1e3 * F.one_hot(found, 4).movedim(-1, 1).double()
    expected = sum(jaccard_loss(found == c, truth == c) for c in range(4)) / 4
    close(lovasz_softmax_loss(logits, truth), expected)
    truth[truth == 2] = 1
    present = [jaccard_loss(found == c, truth == c) for c in (0, 1, 3)]
    close(lovasz_softmax_loss(logits, truth), sum(present) / 3)
    close(lovasz_softmax_loss(logits, truth, present_only=False), (sum(present) + 1) / 4)


def test_lovasz_per_image_is_the_mean_of_the_images():
    z, t = random(0, 3, 4, 4), whole(1, 2, 3, 4, 4).double()
    each = [float(lovasz_hinge_loss(z[i : i + 1], t[i : i + 1])) for i in range(3)]
    close(lovasz_hinge_loss(z, t), sum(each) / 3)
    together = lovasz_hinge_loss(z.reshape(1, -1), t.reshape(1, -1))
    close(lovasz_hinge_loss(z, t, per_image=False), float(together))


def test_focal_without_focus_is_cross_entropy():
    z, t = random(0, 3, 5), whole(1, 2, 3, 5).double()
    close(binary_focal_loss(z, t, gamma=0), float(binary_cross_entropy_loss(z, t)))
    close(focal_loss(z, t[:, 0].long(), gamma=0), float(cross_entropy_loss(z, t[:, 0].long())))


def test_tversky_of_equal_weights_is_dice_and_of_ones_is_jaccard():
    z, t = random(0, 40), whole(1, 2, 40).double()
    even = binary_focal_tversky_loss(z, t, alpha=0.5, beta=0.5, gamma=1, smooth=0)
    close(even, float(binary_dice_loss(z, t, smooth=0)))
    sure = 1e3 * (2.0 * (z > 0) - 1).double()
    ones = binary_focal_tversky_loss(sure, t, alpha=1, beta=1, gamma=1, smooth=0)
    close(ones, jaccard_loss(z > 0, t > 0))


def test_two_softmax_maps_are_one_logistic_map():
    z, t = random(0, 2, 6), whole(1, 2, 2, 6)
    two = torch.stack([torch.zeros_like(z), z], 1)
    close(cross_entropy_loss(two, t), float(binary_cross_entropy_loss(z, t.double())))
    close(focal_loss(two, t), float(binary_focal_loss(z, t.double())))
    both = binary_dice_loss(z, t.double()) + binary_dice_loss(-z, 1 - t.double())
    close(dice_loss(two, t, reduction="sum"), float(both))


def test_pooled_focal_tversky_is_the_mean_probability_of_the_truth():
    z, t = random(0, 2, 3, 6), whole(1, 3, 2, 6)
    mean = z.softmax(1).gather(1, t[:, None]).mean()
    for alpha in (0.7, 0.3):
        loss = focal_tversky_loss(z, t, reduction="pooled", alpha=alpha, beta=1 - alpha, smooth=0)
        close(loss, float((1 - mean) ** (4 / 3)))


@pytest.mark.parametrize("loss", BINARY, ids=name)
def test_a_sure_truth_costs_nothing(loss):
    t = whole(0, 2, 2, 4, 4).float()
    z = (60 * (2 * t - 1)).requires_grad_()
    value = loss(z, t)
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-6)
    assert z.grad.isfinite().all()
    assert float(loss(-z.detach(), t)) > 0.9  # and the opposite costs


@pytest.mark.parametrize("loss", CLASSES, ids=name)
def test_a_sure_true_class_costs_nothing(loss):
    t = whole(0, 3, 2, 4, 4)
    z = (60 * F.one_hot(t, 3).movedim(-1, 1).float()).requires_grad_()
    value = loss(z, t)
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-6)
    assert z.grad.isfinite().all()
    assert float(loss(z.detach().roll(1, 1), t)) > 0.9


@pytest.mark.parametrize("loss", POOLED, ids=name)
def test_nothing_against_nothing_is_a_match(loss):
    t = torch.zeros(1, 4, 4)
    if loss in BINARY:
        close(loss(torch.full((1, 4, 4), -200.0), t), 0)
    else:
        sure = torch.stack([torch.full((1, 4, 4), 200.0), torch.zeros(1, 4, 4)], 1)
        close(loss(sure, t.long()), 0)


# Gradients -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", BINARY, ids=name)
def test_gradients_of_binary_losses(loss):
    z, t = random(0, 2, 3, 3).requires_grad_(), whole(1, 2, 2, 3, 3).double()
    weight = torch.ones(2, 3, 3, dtype=torch.float64)
    weight[:, 0] = 0
    assert torch.autograd.gradcheck(lambda x: loss(x, t, weight), z)


@pytest.mark.parametrize("loss", CLASSES, ids=name)
def test_gradients_of_class_losses(loss):
    z, t = random(0, 2, 4, 3, 3).requires_grad_(), whole(1, 3, 2, 3, 3)  # class 3 does not occur
    weight = torch.ones(2, 3, 3, dtype=torch.float64)
    weight[:, 0] = 0
    assert torch.autograd.gradcheck(lambda x: loss(x, t, weight), z)


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        (binary_focal_loss, {"gamma": 0.5, "alpha": 0.25}),
        (binary_focal_tversky_loss, {"gamma": 0.75}),
        (lovasz_hinge_loss, {"per_image": False}),
    ],
)
def test_gradients_with_options(loss, options):
    z, t = random(2, 2, 3).requires_grad_(), whole(3, 2, 2, 3).double()
    assert torch.autograd.gradcheck(lambda x: loss(x, t, **options), z)


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        (focal_loss, {"gamma": 0.5, "alpha": torch.tensor([1.0, 2.0, 3.0])}),
        (dice_loss, {"reduction": "sum", "present_only": True}),
        (focal_tversky_loss, {"reduction": "pooled"}),
        (focal_tversky_loss, {"class_weights": torch.tensor([1.0, 2.0, 3.0]), "present_only": True}),
        (lovasz_softmax_loss, {"present_only": False}),
    ],
)
def test_gradients_of_classes_with_options(loss, options):
    z, t = random(2, 2, 3, 4).requires_grad_(), whole(3, 3, 2, 4)
    assert torch.autograd.gradcheck(lambda x: loss(x, t, **options), z)


def test_gradients_of_the_horizontal_and_vertical_losses():
    z, t = random(0, 1, 2, 7, 8).requires_grad_(), random(1, 1, 2, 7, 8)
    weight, nuclei = torch.ones(1, 7, 8), whole(2, 2, 1, 7, 8)
    weight[0, 0, 0] = 0
    assert torch.autograd.gradcheck(lambda x: hv_loss(x, t, weight), z)
    assert torch.autograd.gradcheck(lambda x: hv_gradient_loss(x, t, nuclei, weight), z)


# The ignore area -----------------------------------------------------------------------------------------------------


def half():
    weight = torch.ones(2, 6, 6)
    weight[:, :3] = 0
    return weight


@pytest.mark.parametrize("loss", BINARY, ids=name)
def test_binary_losses_do_not_see_the_ignore_area(loss):
    z, t, weight = random(0, 2, 6, 6), whole(1, 2, 2, 6, 6).double(), half()
    expected = loss(z[:, 3:], t[:, 3:])
    z[:, :3], t[:, :3] = 77, math.nan
    z.requires_grad_()
    value = loss(z, t, weight)
    value.backward()
    close(value.detach(), float(expected))
    assert (z.grad[:, :3] == 0).all()
    assert (z.grad[:, 3:] != 0).any()


@pytest.mark.parametrize("loss", CLASSES, ids=name)
def test_class_losses_do_not_see_the_ignore_area(loss):
    z, t, weight = random(0, 2, 3, 6, 6), whole(1, 3, 2, 6, 6), half()
    expected = loss(z[:, :, 3:], t[:, 3:])
    z[:, :, :3], t[:, :3] = 77, 255
    z.requires_grad_()
    value = loss(z, t, weight)
    value.backward()
    close(value.detach(), float(expected))
    assert (z.grad[:, :, :3] == 0).all()
    assert (z.grad[:, :, 3:] != 0).any()


def test_horizontal_and_vertical_losses_do_not_see_the_ignore_area():
    z, t = random(0, 2, 2, 12, 12), random(1, 2, 2, 12, 12)
    nuclei, weight = torch.ones(2, 12, 12, dtype=torch.bool), torch.ones(2, 12, 12)
    weight[:, :6] = 0
    expected = hv_loss(z[:, :, 6:], t[:, :, 6:]), hv_gradient_loss(z[:, :, 6:], t[:, :, 6:], nuclei[:, 6:])
    z[:, :, :6], t[:, :, :6] = 77, math.nan
    z.requires_grad_()
    values = hv_loss(z, t, weight), hv_gradient_loss(z, t, nuclei, weight)
    sum(values).backward()
    for value, wanted in zip(values, expected, strict=True):
        close(value.detach(), float(wanted))
    assert (z.grad[:, :, :6] == 0).all()


@pytest.mark.parametrize("loss", [*BINARY, *CLASSES], ids=name)
def test_nothing_that_counts_is_finite(loss):
    classes = loss in CLASSES
    z = torch.randn(2, 3, 4, 4, requires_grad=True) if classes else torch.randn(2, 4, 4, requires_grad=True)
    t = torch.full((2, 4, 4), 255) if classes else torch.full((2, 4, 4), math.nan)
    value = loss(z, t, torch.zeros(2, 4, 4))
    value.backward()
    assert value.isfinite()
    assert (z.grad == 0).all()


# Horizontal and vertical maps ----------------------------------------------------------------------------------------


def test_a_ramp_has_the_slope_of_the_kernel():
    # The 5 x 5 kernel x / (x^2 + y^2) on the ramp x: the sum of x^2 / (x^2 + y^2), which by symmetry is half of the
    # 24 places beside the middle.
    x = torch.arange(9, dtype=torch.float64).expand(9, 9)
    ramp = torch.stack([x, x.T])[None]
    nuclei = torch.ones(1, 9, 9)
    close(hv_gradient_loss(ramp, torch.zeros_like(ramp), nuclei), 12.0**2)
    # Across its own direction a map may change as it likes.
    close(hv_gradient_loss(ramp.flip(1), torch.zeros_like(ramp), nuclei), 0)


def test_only_slopes_inside_nuclei_count():
    x = torch.arange(9, dtype=torch.float64).expand(9, 9)
    prediction = torch.stack([x * (x > 4), torch.zeros_like(x)])[None]
    nuclei = torch.zeros(1, 9, 9)
    nuclei[:, :, 2] = 1  # windows over columns 0 to 4, where the map is flat
    close(hv_gradient_loss(prediction, torch.zeros_like(prediction), nuclei), 0)
    close(hv_gradient_loss(prediction, torch.zeros_like(prediction), torch.zeros(1, 9, 9)), 0)


def test_hv_is_the_mean_square_of_both_maps():
    prediction = torch.zeros(1, 2, 6, 6)
    prediction[0, 0] = 0.5
    close(hv_loss(prediction, torch.zeros_like(prediction)), 0.125)


def test_an_image_smaller_than_the_window_is_refused():
    with pytest.raises(InputError, match="4 x 8"):
        hv_gradient_loss(torch.zeros(1, 2, 4, 8), torch.zeros(1, 2, 4, 8), torch.zeros(1, 4, 8))


# Precision and input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [*BINARY, *CLASSES], ids=name)
def test_half_precision_maps_are_computed_in_full_inside_autocast(loss):
    classes = loss in CLASSES
    z = random(0, 2, 3, 8, 8) if classes else random(0, 2, 8, 8)
    t = whole(1, 3, 2, 8, 8) if classes else whole(1, 2, 2, 8, 8).double()
    z = z.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(z, t, half().repeat_interleave(2, 1)[:, :8, :1])
    assert value.dtype == torch.float32
    plain = loss(z.double(), t, half().repeat_interleave(2, 1)[:, :8, :1])
    assert float(value) == pytest.approx(float(plain), rel=1e-5)


def test_slopes_are_computed_in_full_inside_autocast():
    z, t = random(0, 1, 2, 9, 9).float(), random(1, 1, 2, 9, 9).float()
    nuclei = torch.ones(1, 9, 9)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value, square = hv_gradient_loss(z, t, nuclei), hv_loss(z, t)
    assert value.dtype == square.dtype == torch.float32
    assert float(value) == pytest.approx(float(hv_gradient_loss(z.double(), t.double(), nuclei)), rel=1e-6)


@pytest.mark.parametrize("loss", BINARY, ids=name)
def test_shapes_that_do_not_fit_are_named(loss):
    with pytest.raises(InputError, match=r"Truth of shape \(3,\)"):
        loss(torch.zeros(4), torch.zeros(3))
    with pytest.raises(InputError, match=r"weight map of shape \(3,\)"):
        loss(torch.zeros(4), torch.zeros(4), torch.zeros(3))


@pytest.mark.parametrize("loss", CLASSES, ids=name)
def test_class_shapes_that_do_not_fit_are_named(loss):
    with pytest.raises(InputError, match="Classes of shape"):
        loss(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, dtype=torch.int64))
    with pytest.raises(InputError, match="weight map"):
        loss(torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, dtype=torch.int64), torch.zeros(1, 3, 4))
