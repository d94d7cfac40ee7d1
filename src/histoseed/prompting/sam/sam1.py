"""SAM and SAM-HQ, and whatever has their layout (MedSAM, PathoSAM)."""

from __future__ import annotations

from typing import Any

import torch

from histoseed.prompting.sam.model import SamPromptable, Tensors
from histoseed.prompting.sam.questions import Questions

__all__ = ["SamHqModel", "SamModel"]


class SamModel(SamPromptable):
    """Segment Anything (Kirillov et al., 2023): one map of a sixteenth of the side."""

    def encode(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """See :class:`SamPromptable`: ``image`` (1, C, side / 16, side / 16)."""
        with self._mixed():
            return {"image": self.network.vision_encoder(pixels).last_hidden_state.float()}

    def decode(self, tensors: Tensors, questions: Questions, *, several: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`SamPromptable`."""
        image, places, sparse, dense = self._inputs(tensors, questions)
        with self._mixed():
            masks, scores = self.network.mask_decoder(
                image_embeddings=image, image_positional_embeddings=places, sparse_prompt_embeddings=sparse,
                dense_prompt_embeddings=dense, multimask_output=several,
            )[:2]  # fmt: skip
        return masks[:, 0], scores[:, 0]

    def _inputs(
        self, tensors: Tensors, questions: Questions
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """What a mask decoder takes. Each prompt is a batch of its own: only so may each have its own mask."""
        with self._mixed(enabled=False):
            sparse, dense = self.network.prompt_encoder(
                questions.points, questions.labels, questions.boxes, questions.masks
            )
            places = self.network.get_image_wide_positional_embeddings()
        number = len(questions)
        return tensors["image"].expand(number, -1, -1, -1), places, sparse, dense.expand(number, -1, -1, -1)


class SamHqModel(SamModel):
    """SAM-HQ (Ke et al., 2023): a further mask, from early features of the encoder, is added to each of SAM's."""

    def encode(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """See :class:`SamPromptable`: ``image``, and ``early`` (1, side / 16, side / 16, width) of the encoder."""
        with self._mixed():
            seen = self.network.vision_encoder(pixels)
        return {"image": seen.last_hidden_state.float(), "early": seen.intermediate_embeddings[0].float()}

    def decode(self, tensors: Tensors, questions: Questions, *, several: bool) -> tuple[torch.Tensor, torch.Tensor]:
        """See :class:`SamPromptable`.

        The modules are those of transformers, their order is told here: the forward pass of its decoder (5.23) makes
        masks of the image features before the prompts were attended to, with rows and columns exchanged.
        """
        decoder = self.network.mask_decoder
        image, places, sparse, dense = self._inputs(tensors, questions)
        with self._mixed():
            own = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight, decoder.hq_token.weight])
            tokens = own.expand(len(questions), 1, -1, -1)
            tokens = tokens if sparse is None else torch.cat([tokens, sparse], 2)
            tokens, keys = decoder.transformer(
                point_embeddings=tokens, image_embeddings=image + dense, image_positional_embeddings=places,
                attention_similarity=None,
            )  # fmt: skip
            tokens, keys = tokens[:, 0], keys[:, 0].transpose(1, 2).reshape(image.shape)
            masks = _masks(decoder, tokens[:, 1 : len(own)], keys, self._fine(tensors))
            scores = decoder.iou_prediction_head(tokens[:, 0])
        chosen = slice(1, None) if several else slice(0, 1)
        return masks[:, chosen], scores[:, chosen]

    def _fine(self, tensors: Tensors) -> torch.Tensor:
        """(1, C / 8, side / 4, side / 4): features for the further mask, which no prompt changes."""
        decoder = self.network.mask_decoder
        last = decoder.activation(decoder.encoder_norm(decoder.encoder_conv1(tensors["image"])))
        early = decoder.compress_vit_conv1(tensors["early"].permute(0, 3, 1, 2))
        early = decoder.activation(decoder.compress_vit_norm(early))
        fine: torch.Tensor = decoder.encoder_conv2(last) + decoder.compress_vit_conv2(early)
        return fine


def _masks(decoder: Any, tokens: torch.Tensor, keys: torch.Tensor, fine: torch.Tensor) -> torch.Tensor:
    """Mask tokens (B, K + 1, C), the last that of SAM-HQ, on image features (B, C, h, w): logits (B, K, 4 h, 4 w)."""
    plain = decoder.activation(decoder.upscale_layer_norm(decoder.upscale_conv1(keys)))
    plain = decoder.activation(decoder.upscale_conv2(plain))
    sharp = decoder.mask_conv2(decoder.activation(decoder.mask_norm(decoder.mask_conv1(plain)))) + fine
    heads = decoder.output_hypernetworks_mlps
    weights = torch.stack([head(tokens[:, i]) for i, head in enumerate(heads)], 1)
    masks = torch.einsum("bkc,bchw->bkhw", weights, plain)
    return masks + torch.einsum("bc,bchw->bhw", decoder.hq_mask_mlp(tokens[:, -1]), sharp)[:, None]
