"""The networks of transformers behind the cards. Only named classes are built, no code of a hub repository is run."""

from __future__ import annotations

import importlib
from typing import Any

import torch
from torch import nn

from histoseed.errors import DependencyError, ModelError
from histoseed.prompting.sam.cards import PromptableCard

__all__ = ["make_network", "random_network"]


def make_network(card: PromptableCard) -> nn.Module:
    """The network of a card, its weights from torch's global random state, on the default device.

    Raises:
        ModelError: a card that cannot be built.
        DependencyError: transformers is absent or too old.
    """
    if card.arch is None:
        fix = f"See {card.page}, or choose another model." if card.page else "Choose another model."
        raise ModelError(f"This model cannot be built: {card.reason}.", where=card.name, fix=fix)
    library = _transformers()
    parts = {part: dict(card.build.get(part, {})) for part in ("vision", "prompt", "decoder", "trunk")}
    try:
        network = _sam2(library, parts) if card.arch == "sam2" else _sam(library, card.arch, parts)
    except AttributeError as error:
        what = f"The installed transformers has no class for this model ({error})."
        raise DependencyError(what, where=card.name, fix='Install a newer one: pip install ".[hf]".') from error
    return network.eval()


def random_network(card: PromptableCard, seed: int) -> nn.Module:
    """The network of a card with weights drawn from a seed; the global random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = make_network(card)
        for name, value in network.state_dict().items():
            # The published codes draw these frequencies with a deviation of 1; transformers' SAM uses half the width of
            # its image encoder, with which no two neighbouring points have anything in common.
            if name.endswith("positional_embedding"):
                generator = torch.Generator().manual_seed(seed)
                value.copy_(torch.randn(value.shape, generator=generator))
    return network


def _sam(library: Any, arch: str, parts: dict[str, dict[str, Any]]) -> nn.Module:
    prefix = "SamHQ" if arch == "sam-hq" else "Sam"
    # 1e-10 is transformers' own deviation, which leaves a network with random weights blind.
    vision = {"initializer_range": 0.02} | parts["vision"]
    if arch == "mobile-sam":  # only the neck of this encoder is used
        vision |= {"hidden_size": parts["trunk"]["embed_dims"][-1], "num_hidden_layers": 0, "global_attn_indexes": []}
    # The published decoder's transformer has torch's default, 1e-5, in all its normalisations.
    decoder = {"layer_norm_eps": 1e-5} | parts["decoder"]
    config = getattr(library, f"{prefix}Config")(
        vision_config=getattr(library, f"{prefix}VisionConfig")(**vision).to_dict(),
        prompt_encoder_config=getattr(library, f"{prefix}PromptEncoderConfig")(**parts["prompt"]).to_dict(),
        mask_decoder_config=getattr(library, f"{prefix}MaskDecoderConfig")(**decoder).to_dict(),
    )
    network: nn.Module = getattr(library, f"{prefix}Model")(config)
    if arch == "mobile-sam":
        from histoseed.prompting.sam.mobile import MobileEncoder  # noqa: PLC0415  its only use

        own: Any = network.vision_encoder
        network.vision_encoder = MobileEncoder(parts["trunk"], own.neck)
    return network


def _sam2(library: Any, parts: dict[str, dict[str, Any]]) -> nn.Module:
    trunk = library.Sam2HieraDetConfig(**parts["trunk"])
    config = library.Sam2Config(
        vision_config=library.Sam2VisionConfig(backbone_config=trunk.to_dict(), **parts["vision"]).to_dict(),
        prompt_encoder_config=library.Sam2PromptEncoderConfig(**parts["prompt"]).to_dict(),
        mask_decoder_config=library.Sam2MaskDecoderConfig(**parts["decoder"]).to_dict(),
    )
    network: nn.Module = library.Sam2Model(config)
    return network


def _transformers() -> Any:
    # Any: the package is optional, and its types change between the versions we allow.
    try:
        library: Any = importlib.import_module("transformers")
        library.SamModel  # noqa: B018  transformers resolves names late: let a missing torch show here
    except (ImportError, RuntimeError) as error:  # RuntimeError: torchvision built for another torch
        raise DependencyError(
            f"The package transformers cannot be imported ({error}).", fix='Install it: pip install ".[hf]".'
        ) from error
    return library
