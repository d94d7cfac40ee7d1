"""How a histology encoder and a SAM are joined: cards, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from histoseed.encoders.registry import nearest
from histoseed.errors import InputError, ModelError

__all__ = ["CARDS", "MOST_TILES", "FusionCard", "Kind", "Start", "Stride", "Upsampling", "get_fusion_card"]

Kind = Literal["encoder-only", "concat", "cross-attention", "refinement"]
Upsampling = Literal["interpolation", "deconvolution"]
Start = Literal["sam", "random"]
Stride = Literal[1, 2, 4]

MOST_TILES = 16
"""Most histology tiles along a side of a window; at 224 pixels a tile that is 3,584 pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FusionCard:
    """One way to join them.

    Args:
        name: What the user types.
        kind: ``encoder-only``: histology features stand where SAM's were; ``concat``: both go through SAM's neck;
            ``cross-attention``: SAM's features ask the histology features; ``refinement``: SAM's masks do, and are
            corrected.
        upsampling: From the grid of histology features to that of SAM, of ``encoder-only`` and ``concat``.
        start: ``sam``: the fused model's first answers are those of SAM (of ``encoder-only``: SAM's neck is kept where
            it fits); ``random``: new layers have random weights, as published.
        positions: Attention knows where in the window a feature or a mask cell lies.
        query_skip: ``refinement`` sees the masks themselves beside what they attended to.
        stride: Mask cells along a side of one query of ``refinement``.
        together: ``refinement`` looks at the three candidates together, as published, instead of at each alone.
        tiles: Histology tiles along a side of a window; None: as many as let the encoder see its own resolution. 1 is
            one thumbnail of the whole window.
        evidence: Where it comes from.
    """

    name: str
    kind: Kind
    upsampling: Upsampling = "interpolation"
    start: Start = "sam"
    positions: bool = True
    query_skip: bool = True
    stride: Stride = 4
    together: bool = False
    tiles: int | None = None
    evidence: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The card as JSON values."""
        return asdict(self)

    def with_tiles(self, tiles: int | None) -> FusionCard:
        """The card with another number of tiles; None leaves it.

        Raises:
            InputError: a number that is not possible.
        """
        card = self if tiles is None else replace(self, tiles=tiles)
        if card.tiles is not None and not 1 <= card.tiles <= MOST_TILES:
            what = f"{card.tiles} histology tiles a side are not possible."
            raise InputError(what, where="tiles", fix=f"Give 1 to {MOST_TILES}, or none.")
        if card.upsampling == "deconvolution" and card.tiles != 1:
            what = "Deconvolution is made for the grid of one tile."
            raise InputError(what, where="tiles", fix="Use --tiles 1, or the fusion encoder-only.")
        return card


_EVIDENCE = "sizes and parameter counts of the published modules (UNI 14 x 14, H-optimus-0 and UNI2-h 16 x 16 tokens)"


def _published(name: str, kind: Kind, upsampling: Upsampling = "interpolation") -> FusionCard:
    return FusionCard(
        name=f"{name}-published", kind=kind, upsampling=upsampling, start="random", positions=False, query_skip=False,
        stride=1, together=True, tiles=1, evidence=_EVIDENCE,
    )  # fmt: skip


_CARDS = (
    FusionCard(name="encoder-only", kind="encoder-only"),
    FusionCard(name="encoder-only-deconv", kind="encoder-only", upsampling="deconvolution", tiles=1),
    FusionCard(name="concat", kind="concat"),
    FusionCard(name="cross-attention", kind="cross-attention"),
    FusionCard(name="refinement", kind="refinement"),
    _published("encoder-only", "encoder-only"),
    _published("encoder-only-deconv", "encoder-only", "deconvolution"),
    _published("concat", "concat"),
    _published("cross-attention", "cross-attention"),
    _published("refinement", "refinement"),
)

CARDS: Mapping[str, FusionCard] = {card.name: card for card in _CARDS}
"""Every named way; those that end in ``-published`` are the networks of the Rapid Cytomine study."""


def get_fusion_card(name: str) -> FusionCard:
    """The card of a name.

    Raises:
        ModelError: no such fusion; the error gives the nearest names.

    >>> get_fusion_card("concat").kind
    'concat'
    """
    if name in CARDS:
        return CARDS[name]
    close = nearest(name, CARDS) or list(CARDS)
    raise ModelError(f"There is no fusion {name!r}.", where="fusion", fix=f"The nearest names are {', '.join(close)}.")
