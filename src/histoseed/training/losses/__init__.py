"""Losses. Every one honours the ignore area through a weight map, and computes in float32 inside autocast."""

from histoseed.training.losses.cross_entropy import binary_cross_entropy_loss, cross_entropy_loss
from histoseed.training.losses.dice import binary_dice_loss, dice_loss
from histoseed.training.losses.focal import binary_focal_loss, focal_loss
from histoseed.training.losses.hover import hv_gradient_loss, hv_loss
from histoseed.training.losses.lovasz import lovasz_hinge_loss, lovasz_softmax_loss
from histoseed.training.losses.skip import representation_loss
from histoseed.training.losses.tversky import binary_focal_tversky_loss, focal_tversky_loss

__all__ = [
    "binary_cross_entropy_loss",
    "binary_dice_loss",
    "binary_focal_loss",
    "binary_focal_tversky_loss",
    "cross_entropy_loss",
    "dice_loss",
    "focal_loss",
    "focal_tversky_loss",
    "hv_gradient_loss",
    "hv_loss",
    "lovasz_hinge_loss",
    "lovasz_softmax_loss",
    "representation_loss",
]
