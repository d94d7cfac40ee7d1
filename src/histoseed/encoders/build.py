"""From a name to an encoder with weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from math import lcm
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoseed.encoders.cards import EncoderCard
from histoseed.encoders.choose import choose_encoder, is_path
from histoseed.encoders.hub import fetch_weights
from histoseed.encoders.registry import why_unavailable
from histoseed.encoders.taps import checked_taps
from histoseed.errors import InputError, ModelError
from histoseed.files import sha256_of
from histoseed.settings import Settings

if TYPE_CHECKING:
    from histoseed.encoders.family import Blueprint
    from histoseed.encoders.pyramid import FeaturePyramid
    from histoseed.encoders.weights import State

__all__ = ["build_encoder", "plan_encoder", "planned_strides"]

_SOURCES = ("random", "hub", "bundled")
_OTHERS = "take others: --weights random or --weights FILE (in Python weights=...)"


def build_encoder(
    name: str | Path | EncoderCard,
    *,
    weights: str | Path | None = None,
    seed: int = 0,
    image_size: int = 256,
    taps: Sequence[int] | None = None,
    settings: Settings | None = None,
) -> FeaturePyramid:
    """Build an encoder that gives feature maps at several depths.

    Args:
        name: What :func:`histoseed.encoders.get_card` understands, the path of a model or checkpoint (see
            :func:`histoseed.encoders.choose_encoder`), or a card.
        weights: ``random``: drawn from ``seed``, without any network; ``hub``: downloaded once from the Hugging Face
            hub, pinned and checked; ``bundled``: those in this package, for the encoder ``bundled``; or the path of a
            ``.safetensors`` file or of a ``.pt``/``.pth``/``.bin`` file, loaded strictly. None is ``random``; for a
            path, what lies there.
        seed: Of the random weights. The global random state is left as it was.
        image_size: Side in pixels of the images it will mostly see; encoders with fixed windows are created for it.
        taps: Zero-based blocks or stages whose maps are handed out; None follows the card's rule.
        settings: Where downloads are kept; None reads the environment.

    Returns:
        The encoder on the processor, in evaluation mode, its card filled in.

    Raises:
        ModelError: no such encoder or none that can be built (its card says why), weights that do not fit, a download
            that is impossible or changed.
        GatedModelError: weights whose licence must be accepted first.
        DependencyError: the library that builds it is absent.
        InputError: an image size that is not positive.

    >>> encoder = build_encoder("bundled")
    >>> encoder.strides
    [2, 4, 8, 16]
    """
    from histoseed.encoders.pyramid import FeaturePyramid  # noqa: PLC0415  cards must be readable without torch
    from histoseed.encoders.weights import load_strictly  # noqa: PLC0415

    if image_size < 1:
        raise InputError(f"An image size of {image_size} is not positive.", where="image_size")
    if isinstance(name, EncoderCard):
        card, weights = name, "random" if weights is None else weights
    else:
        implied = weights is not None or isinstance(name, Path) or is_path(name)
        chosen = choose_encoder(name, weights if implied else "random")
        card, weights = chosen.card, chosen.weights
    blueprint = plan_encoder(card, image_size)
    tapped = checked_taps(taps, blueprint.strides, card.name)
    multiple = lcm(*blueprint.strides)
    channels = _probe(card, blueprint, tapped, -(-image_size // multiple) * multiple)
    # Before the network is made: a download that is refused is told at once.
    state, card, origin = _find_weights(card, weights, seed, settings)
    with _seeded(seed):
        network = blueprint.make()
        if state is not None:
            where = f"{card.name} <- {origin}"
            load_strictly(network, blueprint.translate(network, state, where), where)
    params = sum(p.numel() for p in network.parameters())
    strides = [blueprint.strides[tap] for tap in tapped]
    counted = params if not blueprint.sized or image_size == card.native_size else None
    filled = replace(_filled(card, blueprint, counted, (channels, strides) if taps is None else None), params=params)
    pyramid = FeaturePyramid(
        network, blueprint.features, filled, taps=tapped, channels=channels, strides=strides, size_multiple=multiple,
        image_size=image_size, weights=origin,
    )  # fmt: skip
    return pyramid.eval()


def plan_encoder(card: EncoderCard, image_size: int) -> Blueprint:
    """How a card is built; see :class:`histoseed.encoders.family.Blueprint`.

    Raises:
        ModelError: nobody can build it; the card says why.
        DependencyError: the library that builds it is absent.
    """
    if card.family == "none" or card.gated == "unavailable":
        fix = f"See {card.page}, or choose another encoder." if card.page else "Choose another encoder."
        raise ModelError(f"This encoder cannot be built: {why_unavailable(card)}.", where=card.name, fix=fix)
    # The families are imported late: timm and transformers take seconds.
    if card.family == "timm":
        from histoseed.encoders.timm_family import plan  # noqa: PLC0415
    elif card.family == "transformers":
        from histoseed.encoders.transformers_family import plan  # noqa: PLC0415
    else:
        from histoseed.encoders.bundled_family import plan  # noqa: PLC0415
    with _seeded(0):  # networks are tried out on the meta device
        return plan(card, image_size)


@cache
def planned_strides(card: EncoderCard) -> tuple[int, ...]:
    """Strides of every depth that can be tapped, from the plan alone: of an encoder whose card does not state them.

    Raises:
        ModelError: nobody can build it; the card says why.
        DependencyError: the library that builds it is absent.
    """
    return plan_encoder(card, card.native_size or 256).strides


def _probe(card: EncoderCard, blueprint: Blueprint, taps: tuple[int, ...], size: int) -> list[int]:
    """Channels of each map, from a pass on the meta device, which computes shapes only.

    Raises:
        ModelError: the maps do not tile the image, or the network cannot take this size.
    """
    import torch  # noqa: PLC0415

    def run() -> list[tuple[int, ...]]:
        with torch.device("meta"), torch.no_grad():
            maps = blueprint.features(blueprint.make().eval(), torch.empty(1, 3, size, size), taps)
        return [tuple(m.shape[1:]) for m in maps]

    try:
        with _seeded(0):
            shapes = run()
    except (AssertionError, RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        what = f"The encoder gives no feature maps of {size} x {size} images ({error})."
        raise ModelError(what, where=card.name, fix="Try another image_size, or another encoder.") from error
    cells = [size // blueprint.strides[tap] for tap in taps]
    if [shape[1:] for shape in shapes] != [(n, n) for n in cells]:
        what = f"The maps {[shape[1:] for shape in shapes]} of a {size} x {size} image do not tile it."
        raise ModelError(what, where=card.name, fix="Use another encoder.")
    return [shape[0] for shape in shapes]


def _filled(
    card: EncoderCard, blueprint: Blueprint, params: int | None, levels: tuple[list[int], list[int]] | None
) -> EncoderCard:
    """The card with everything that only the built network tells; what is None here is not compared.

    Raises:
        ModelError: the card states something else: the installed library builds another architecture.
    """
    isotropic = len(set(blueprint.strides)) == 1
    facts: dict[str, Any] = {"prefix_tokens": blueprint.prefix_tokens, "patch_size": blueprint.patch_size}
    if params is not None:
        facts["params"] = params
    if levels is not None:
        facts |= {"dims": tuple(levels[0]), "strides": tuple(levels[1])}
    wrong = [f"{k} {getattr(card, k)} but {v}" for k, v in facts.items() if getattr(card, k) not in (None, v)]
    if wrong:
        what = f"The installed library builds another network than the card describes: {'; '.join(wrong)}."
        raise ModelError(what, where=card.name, fix="Install the versions in requirements.txt.")
    return replace(
        card,
        **facts,
        taps=card.taps if card.taps != "auto" else ("four-blocks" if isotropic else "all-stages"),
        tap_norm=card.tap_norm if card.tap_norm != "auto" else ("layer" if isotropic else "none"),
    )


def _find_weights(
    card: EncoderCard, weights: str | Path, seed: int, settings: Settings | None
) -> tuple[State | None, EncoderCard, str]:
    """The tensors (None for random ones), the card with their revision and hash, and a word on their origin."""
    from histoseed.encoders.weights import bundled_state, read_state  # noqa: PLC0415  imports torch

    if weights == "random":
        return None, replace(card, revision=None, sha256=None), f"random, seed {seed}"
    if weights == "hub":
        # Where a model pins its encoder, no other weights will do.
        found = fetch_weights(card, settings, instead=_OTHERS if card.sha256 is None else None)
        filled = replace(card, revision=found.revision, sha256=found.sha256, filename=found.filename)
        return read_state(found.path), filled, f"hub, {card.hub_id}@{found.revision}"
    if weights == "bundled":
        if card.family != "bundled":
            raise ModelError("Only the encoder bundled has weights in this package.", where=card.name, fix=_choices())
        return bundled_state(), card, "bundled"
    path = Path(weights)
    state = read_state(path)
    return state, replace(card, revision=None, sha256=sha256_of(path)), path.name


def _choices() -> str:
    return f"Weights are {', '.join(_SOURCES)}, or the path of a file."


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """A random state of its own: only the processor's generator is touched, and it is put back."""
    import torch  # noqa: PLC0415

    with torch.random.fork_rng(devices=[]):
        # torch.manual_seed would reset the accelerators' generators too, and those are not put back.
        torch.default_generator.manual_seed(seed)
        yield
