"""A SAM that is fused with a histology encoder, as a promptable model like any other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histoseed.errors import InputError
from histoseed.prompting.fusion.card import FusionCard
from histoseed.prompting.fusion.concat import Concat, PyramidConcat
from histoseed.prompting.fusion.cross_attention import CrossAttention
from histoseed.prompting.fusion.encoder_only import EncoderOnly, PyramidEncoderOnly
from histoseed.prompting.fusion.histology import Histology
from histoseed.prompting.fusion.layers import Fusion
from histoseed.prompting.fusion.refinement import Refinement
from histoseed.prompting.interface import Embedding
from histoseed.prompting.prompt import Prompt
from histoseed.prompting.sam.model import SamPromptable, Tensors
from histoseed.prompting.sam.questions import Questions
from histoseed.prompting.sam.sam2 import Sam2Model
from histoseed.prompting.trainable import Asked, Parts
from histoseed.prompting.windows import Window

__all__ = ["FusedSam"]


class _Networks(nn.Module):
    """All networks of a fused model, so that they are moved and hashed together."""

    def __init__(self, sam: Any, histology: Histology, fusion: Fusion) -> None:
        super().__init__()
        self.sam = sam
        self.histology = histology
        self.fusion = fusion
        self.config = sam.config


class FusedSam(SamPromptable):
    """A SAM or SAM 2 with the features of a histology encoder; made by :func:`load_fused`.

    ``encode`` gives the frozen features of both encoders. :meth:`fuse`, which trains, makes of them what SAM's decoder
    takes. An embedding holds what was fused, so that a prompt costs what it costs SAM (``refinement`` more).

    Args:
        sam: Whose prompts, decoder and, but for ``encoder-only``, image encoder are used. Its image encoder is taken
            away from it by ``encoder-only``, which would never run it.
        histology: The other encoder.
        fusion_card: How they are joined. New layers have weights from torch's global random state.

    Raises:
        InputError: SAM-HQ without its own encoder, which its decoder reads from.
    """

    def __init__(self, sam: SamPromptable, histology: Histology, fusion_card: FusionCard) -> None:
        self.sam = sam
        self.fusion_card = fusion_card
        fusion = _new_fusion(fusion_card, sam, histology)
        if fusion_card.kind == "encoder-only":
            sam.network.vision_encoder = nn.Identity()
        networks = _Networks(sam.network, histology, fusion).to(sam.device).eval()
        super().__init__(sam.card, networks, weights=sam.weights, precision=sam.precision, at_once=sam.at_once)

    @property
    def name(self) -> str:
        """That of its training, else of SAM, the fusion and the histology encoder: ``sam-vit-b+concat+uni``."""
        return self.title or f"{self.sam.name}+{self.fusion_card.name}+{self.histology.encoder.card.name}"

    @property
    def histology(self) -> Histology:
        """The histology encoder."""
        found: Histology = self.network.histology
        return found

    @property
    def fusion(self) -> Fusion:
        """What joins them."""
        found: Fusion = self.network.fusion
        return found

    @property
    def other_encoder(self) -> str:
        """SHA-256 over what decides about :meth:`encode` beside SAM's encoder: the fusion, the histology encoder."""
        facts = [self.fusion_card.as_dict(), self.histology.encoder.fingerprint()]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def fingerprint(self) -> str:
        """SHA-256 over both cards, how they are joined, and all weights as they are now."""
        encoder = self.histology.encoder
        facts = [self.fusion_card.as_dict(), encoder.card.as_dict(), encoder.taps, super().fingerprint]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def pixels(self, image: npt.NDArray[np.uint8], window: Window) -> torch.Tensor:
        """A window as :meth:`encode` takes it: SAM's square and behind it all histology tiles, pixel after pixel.

        Returns:
            (1, 3, 1, side * side + n * n * tile * tile) float32, on the processor; without the square where SAM's
            encoder is not used.
        """
        square = self.sam.pixels(image, window)
        tiles = self.histology.pictures(image, self.frame(window)).transpose(0, 1)
        seen = [tiles] if self.fusion_card.kind == "encoder-only" else [square[0], tiles]
        return torch.cat([pixels.reshape(1, 3, 1, -1) for pixels in seen], -1)

    def encode(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Frozen features: ``histology`` (1, D, g, g), and of SAM what the fusion takes.

        That is nothing for ``encoder-only``, the maps before the neck (``trunk.0`` ...) for ``concat``, what SAM's own
        ``encode`` gives else.
        """
        alone = self.fusion_card.kind == "encoder-only"
        first = 0 if alone else self.side**2
        side = self.histology.tile
        tiles = pixels[..., first:].reshape(3, -1, side, side).transpose(0, 1)
        with self._mixed():
            tensors = {"histology": self.histology(tiles).float()}
        if alone:
            return tensors
        square = pixels[..., :first].reshape(1, 3, self.side, self.side)
        if not _before_neck(self.fusion_card, self.sam):
            return tensors | self.sam.encode(square)
        with _neck_input(self.sam.network.vision_encoder.neck) as maps:
            own = self.sam.encode(square)
        kept = {key: value for key, value in own.items() if key not in ("image", "middle", "fine")}
        return tensors | kept | {f"trunk.{i}": level for i, level in enumerate(maps)}

    def fuse(self, tensors: Tensors) -> Tensors:
        """What :meth:`encode` gave, as SAM's decoder takes it, with gradients; what was fused stays as it is."""
        if "histology" not in tensors:
            return tensors
        with self._mixed():
            fused = self.fusion(tensors)
        return {key: value.float() for key, value in fused.items()}

    def embed(self, image: npt.NDArray[np.uint8], window: Window) -> Embedding:
        """See a window; see :class:`SamPromptable`."""
        with torch.no_grad():
            tensors = self.fuse(self.encode(self.pixels(image, window).to(self.device)))
        return Embedding(window, self.fingerprint, tensors)

    def decode(self, tensors: Tensors, questions: Questions, *, several: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`SamPromptable`. ``tensors`` may be fused already."""
        tensors = self.fuse(tensors)
        together = self.fusion_card.together and self.fusion_card.kind == "refinement"
        logits, scores = self.sam.decode(tensors, questions, several=several or together)
        with self._mixed():
            logits = self.fusion.refined(logits, tensors)
        if together and not several:
            best = scores.argmax(1)
            every = torch.arange(len(best), device=best.device)
            return logits[every, best][:, None], scores[every, best][:, None]
        return logits, scores

    def ask(self, tensors: Tensors, window: Window, prompts: Sequence[Prompt], *, several: bool) -> Asked:
        """See :class:`SamPromptable`."""
        with ExitStack() as stack:
            if isinstance(self.sam, Sam2Model):
                stack.enter_context(self.sam.own_token())
            return super().ask(tensors, window, prompts, several=several)

    def parts(self) -> Parts:
        """SAM's encoder; the fusion with SAM's prompt encoder and decoder. ``refinement`` leaves all of SAM as it is.

        The histology encoder belongs to neither, since it never trains.
        """
        own = self.sam.parts()
        encoder, head = own.encoder, nn.ModuleDict(dict(own.head.named_children()))
        if self.fusion_card.kind == "refinement":
            network = self.sam.network
            parts = ("vision_encoder", "prompt_encoder", "mask_decoder")
            encoder, head = nn.ModuleDict({part: getattr(network, part) for part in parts}), nn.ModuleDict()
        head["fusion"] = self.fusion
        return Parts(encoder, head)


def _before_neck(card: FusionCard, sam: SamPromptable) -> bool:
    """Whether a fusion takes SAM's maps before the neck."""
    published = card.kind == "cross-attention" and card.start == "random" and not isinstance(sam, Sam2Model)
    return card.kind == "concat" or published


def _new_fusion(card: FusionCard, sam: SamPromptable, histology: Histology) -> Fusion:
    network, pyramid = sam.network, isinstance(sam, Sam2Model)
    cells = sam.cells // 4
    dim, tokens = histology.channels, histology.tokens
    decoder = network.mask_decoder
    width = int(network.config.prompt_encoder_config.hidden_size)
    if card.kind == "refinement":
        return Refinement(card, dim)
    if card.kind == "cross-attention":
        finer = {"middle": decoder.conv_s1.out_channels, "fine": decoder.conv_s0.out_channels} if pyramid else {}
        before = network.vision_encoder.neck.conv1.in_channels if _before_neck(card, sam) else None
        return CrossAttention(card, dim, width, before=before, finer=finer)
    if card.kind == "concat":
        if pyramid:
            return PyramidConcat(card, network, dim, tokens, cells)
        return Concat(card, network.vision_encoder.neck, dim, tokens, cells)
    if sam.card.arch == "sam-hq":
        what = "The decoder of SAM-HQ reads early features of its own encoder, which this fusion does not run."
        raise InputError(what, where=f"fusion {card.name}", fix="Use a SAM, or the fusion concat.")
    if pyramid:
        widths = (width, int(decoder.conv_s1.out_channels), int(decoder.conv_s0.out_channels))
        return PyramidEncoderOnly(card, dim, tokens, cells, widths)
    return EncoderOnly(card, network.vision_encoder.neck, dim, tokens, cells)


@contextmanager
def _neck_input(neck: nn.Module) -> Iterator[list[torch.Tensor]]:
    """What enters a neck of transformers while this is open: (1, C, h, w) float32 each, fine to coarse."""
    maps: list[torch.Tensor] = []

    def keep(_: nn.Module, given: tuple[Any, ...]) -> None:
        levels = given[0] if isinstance(given[0], tuple) else (given[0],)
        maps.extend(level.float().movedim(-1, 1).contiguous() for level in levels)

    handle = neck.register_forward_pre_hook(keep)
    try:
        yield maps
    finally:
        handle.remove()
