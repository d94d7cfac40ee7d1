"""SAM 2 and 2.1 on single images: maps of a quarter, an eighth and a sixteenth of the side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import nn

from histoseed.prompting.prompt import Prompt
from histoseed.prompting.sam.model import SamPromptable
from histoseed.prompting.sam.questions import Questions
from histoseed.prompting.trainable import Asked, Parts
from histoseed.prompting.windows import Window

__all__ = ["Sam2Model"]

_MOST = 32.0
"""SAM 2 hands out its logits within +-32, and so saw none beyond as a mask prompt."""

_SHARED = ("conv_s0", "conv_s1")
"""Layers of the decoder that look at the image alone; the embedding holds what they make of it."""


class Sam2Model(SamPromptable):
    """SAM 2 (Ravi et al., 2025) without its memory.

    A single mask that is not stable against a small shift of its threshold is replaced by the best of three, as the
    authors' predictor does.
    """

    def parts(self) -> Parts:
        """As :class:`SamPromptable`; the two layers that bring fine maps to the decoder's width are the encoder's."""
        whole, own = super().parts(), self.network
        decoder = whole.head.get_submodule("mask_decoder")
        shared = {key: part for key, part in decoder.named_children() if key in _SHARED}
        rest = {key: part for key, part in decoder.named_children() if key not in _SHARED}
        encoder = nn.ModuleDict({"vision_encoder": own.vision_encoder, "mask_decoder": nn.ModuleDict(shared)})
        encoder.register_parameter("no_memory_embedding", own.no_memory_embedding)
        prompts = whole.head.get_submodule("prompt_encoder")
        return Parts(encoder, nn.ModuleDict({"prompt_encoder": prompts, "mask_decoder": nn.ModuleDict(rest)}))

    def ask(
        self, tensors: Mapping[str, torch.Tensor], window: Window, prompts: Sequence[Prompt], *, several: bool
    ) -> Asked:
        """See :class:`SamPromptable`."""
        with self.own_token():
            return super().ask(tensors, window, prompts, several=several)

    @contextmanager
    def own_token(self) -> Iterator[None]:
        """While this is open the single mask is always that of its own token, which would else never learn."""
        decoder = self.network.mask_decoder
        fallback, decoder.dynamic_multimask_via_stability = decoder.dynamic_multimask_via_stability, False
        try:
            yield
        finally:
            decoder.dynamic_multimask_via_stability = fallback

    def encode(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """See :class:`SamPromptable`: ``image`` (stride 16), and ``fine`` and ``middle`` (4 and 8) for the decoder."""
        decoder = self.network.mask_decoder
        with self._mixed():
            fine, middle, image = self.network.vision_encoder(pixels).fpn_hidden_states
            fine, middle = decoder.conv_s0(fine), decoder.conv_s1(middle)
            image = image + self.network.no_memory_embedding.view(1, -1, 1, 1)
        return {"image": image.float(), "fine": fine.float(), "middle": middle.float()}

    def decode(
        self, tensors: Mapping[str, torch.Tensor], questions: Questions, *, several: bool
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`SamPromptable`."""
        masks = None if questions.masks is None else questions.masks.clamp(-_MOST, _MOST)
        number = len(questions)
        with self._mixed(enabled=False):
            sparse, dense = self.network.prompt_encoder(questions.points, questions.labels, questions.boxes, masks)
            if sparse is None:  # a mask alone
                sparse = dense.new_zeros(number, 1, 0, dense.shape[1])
            dense = dense.expand(number, -1, -1, -1)
            places = self.network.get_image_wide_positional_embeddings()
        with self._mixed():
            logits, scores = self.network.mask_decoder(
                image_embeddings=tensors["image"].expand(number, -1, -1, -1), image_positional_embeddings=places,
                sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense, multimask_output=several,
                high_resolution_features=[tensors["fine"], tensors["middle"]],
            )[:2]  # fmt: skip
        return logits[:, 0], scores[:, 0]
