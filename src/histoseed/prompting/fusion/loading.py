"""From names to a fused model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from histoseed.encoders.build import build_encoder, planned_strides
from histoseed.encoders.cards import EncoderCard
from histoseed.encoders.choose import choose_encoder
from histoseed.prompting.fusion.card import FusionCard, get_fusion_card
from histoseed.prompting.sam.cards import PromptableCard
from histoseed.prompting.sam.loading import load_promptable
from histoseed.settings import Settings

if TYPE_CHECKING:
    from histoseed.encoders.pyramid import FeaturePyramid
    from histoseed.prompting.fusion.model import FusedSam
    from histoseed.prompting.sam.model import Precision

__all__ = ["histology_encoder", "load_fused"]


def load_fused(
    sam: str | Path | PromptableCard,
    histology: str | Path | EncoderCard,
    fusion: str | FusionCard,
    *,
    tiles: int | None = None,
    sam_weights: str | Path | None = None,
    histology_weights: str | Path | None = None,
    device: str = "cpu",
    precision: Precision = "float32",
    seed: int = 0,
    settings: Settings | None = None,
) -> FusedSam:
    """A SAM fused with a histology encoder, whose new layers are yet to be trained.

    Args:
        sam: As :func:`histoseed.prompting.sam.load_promptable` takes it.
        histology: As :func:`histoseed.encoders.build_encoder` takes it; its deepest map is used.
        fusion: Name of a :class:`FusionCard`, or a card.
        tiles: Histology tiles along a side of a window; None: as the fusion's card says.
        sam_weights: As :func:`histoseed.prompting.sam.load_promptable` takes them.
        histology_weights: As :func:`histoseed.encoders.build_encoder` takes them; None: ``bundled`` for the encoder
            bundled, what lies there for a path, and else ``hub``.
        device: ``cpu``, ``cuda``, ``cuda:1``.
        precision: ``bfloat16`` computes in mixed precision.
        seed: Of the new layers, and of random weights.
        settings: Where downloads are kept; None reads the environment.

    Raises:
        ModelError: no such model, encoder or fusion, or weights that do not fit.
        GatedModelError: weights whose licence must be accepted first.
        InputError: numbers of tiles, or combinations, that are not possible.
        DependencyError: the package transformers is absent.
    """
    card = (fusion if isinstance(fusion, FusionCard) else get_fusion_card(fusion)).with_tiles(tiles)

    import torch  # noqa: PLC0415  cards must be readable without torch

    from histoseed.prompting.fusion.histology import Histology  # noqa: PLC0415
    from histoseed.prompting.fusion.model import FusedSam  # noqa: PLC0415

    # The encoder first: histology weights are the ones that must often be asked for.
    encoder = histology_encoder(histology, histology_weights, seed, settings)
    base = load_promptable(sam, weights=sam_weights, device=device, precision=precision, seed=seed, settings=settings)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return FusedSam(base, Histology(encoder, card.tiles), card)


def histology_encoder(
    name: str | Path | EncoderCard, weights: str | Path | None, seed: int, settings: Settings | None
) -> FeaturePyramid:
    """An encoder that gives its deepest map only, made for tiles of its card's size; see :func:`load_fused`."""
    from histoseed.prompting.fusion.histology import USUAL_TILE  # noqa: PLC0415

    if isinstance(name, EncoderCard):
        card, weights = name, "hub" if weights is None else weights
    else:
        chosen = choose_encoder(name, weights)
        card, weights = chosen.card, chosen.weights
    deepest = len(planned_strides(card)) - 1
    size = card.native_size or USUAL_TILE
    return build_encoder(card, weights=weights, seed=seed, image_size=size, taps=[deepest], settings=settings)
