"""How a name finds its encoder card, and which cards there are."""

from __future__ import annotations

import difflib
import fnmatch
import importlib.util
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from histoseed.encoders.cards import EncoderCard, Group
from histoseed.encoders.zoo import ALL
from histoseed.errors import InputError, ModelError

__all__ = ["CARDS", "get_card", "list_encoders", "nearest", "why_unavailable"]

CARDS: Mapping[str, EncoderCard] = MappingProxyType({card.name: card for card in ALL})
"""Every named card of this release."""


def _plain(name: str) -> str:
    """A name without what people write differently.

    >>> _plain("UNI2_h") == _plain("uni2-h")
    True
    """
    return re.sub(r"[-_. ]", "", name.lower())


def _aliases() -> dict[str, str]:
    """``hf:OWNER/NAME`` of every repository that belongs to one card only."""
    hubs = Counter(card.hub_id for card in ALL)
    return {f"hf:{card.hub_id}": card.name for card in ALL if card.hub_id and hubs[card.hub_id] == 1}


_ALIASES = _aliases()
_PLAIN = {_plain(written): name for written, name in [*_ALIASES.items(), *((name, name) for name in CARDS)]}


def nearest(name: str, names: Iterable[str], *, count: int = 3) -> list[str]:
    """The most similar names, best first; a prefix such as ``timm:`` may be missing from ``name``.

    >>> nearest("resnet18", ["timm:resnet18.a1_in1k", "dinov2-small"])
    ['timm:resnet18.a1_in1k']
    """
    score = {}
    for candidate in names:
        forms = (candidate, candidate.split(":", 1)[-1], candidate.split(":", 1)[-1].split(".")[0])
        score[candidate] = max(difflib.SequenceMatcher(None, name.lower(), form.lower()).ratio() for form in forms)
    ranked = sorted(score, key=lambda candidate: -score[candidate])
    return [candidate for candidate in ranked[:count] if score[candidate] >= 0.5]


def get_card(name: str) -> EncoderCard:
    """The card of an encoder.

    Args:
        name: A named card (see :func:`list_encoders`; case, ``-``, ``_`` and ``.`` do not matter), ``timm:ARCH[.TAG]``
            for any architecture of timm, or ``hf:OWNER/NAME`` for the hub repository of a named card.

    Raises:
        ModelError: no such encoder; the error gives the nearest names.
        DependencyError: a ``timm:`` name without a named card, and timm cannot be imported.

    >>> get_card("hf:facebook/dinov2-small").name
    'dinov2-small'
    >>> get_card("UNI2_h").name
    'uni2-h'
    """
    if name in CARDS:
        return CARDS[name]
    if name.startswith("timm:"):
        from histoseed.encoders.timm_family import timm_card  # noqa: PLC0415  timm takes seconds to import

        return timm_card(name)
    known = _PLAIN.get(_plain(name))
    if known is not None:
        return CARDS[known]
    close = nearest(name, [*CARDS, *_ALIASES])
    hint = f"The nearest names are {', '.join(close)}. " if close else ""
    raise ModelError(
        f"There is no encoder {name!r}.",
        where=name or None,
        fix=f"{hint}`histoseed encoders list` shows all; any architecture of timm is timm:ARCH[.TAG].",
    )


def list_encoders(
    pattern: str = "*",
    *,
    commercial: bool | None = None,
    gated: bool | None = None,
    max_params: float | None = None,
    group: Group | None = None,
) -> list[EncoderCard]:
    """Named cards; nothing is downloaded and no model library is imported.

    Args:
        pattern: Shell wildcard for the name. One that begins with ``timm:`` searches all pretrained architectures of
            timm as well (this imports timm).
        commercial: True: only where the licence is known to allow commercial use; False: only the others.
        gated: True: only weights that somebody must give access to, or that were never released; False: only free ones.
        max_params: Most parameters; an encoder whose number is not known is left out.
        group: Only encoders made for this.

    Raises:
        InputError: a limit that is not positive.

    >>> [card.name for card in list_encoders("dinov2-*", max_params=100e6)]
    ['dinov2-small', 'dinov2-base']
    >>> [card.name for card in list_encoders(group="pathology", commercial=True, gated=False, max_params=90e6)]
    ['quiltnet-b32', 'quiltnet-b16', 'quiltnet-b16-pmb', 'hibou-b']
    """
    if max_params is not None and not max_params > 0:
        raise InputError(f"At most {max_params:g} parameters leaves nothing.", where="max_params", fix="Give 100e6.")
    found = {name: card for name, card in CARDS.items() if fnmatch.fnmatchcase(name, pattern)}
    if pattern.startswith("timm:"):
        from histoseed.encoders.timm_family import timm_names  # noqa: PLC0415  timm takes seconds to import

        for name in timm_names(pattern):
            found.setdefault(name, get_card(name))
    return [
        card for card in found.values()
        if (commercial is None or (card.commercial == "yes") == commercial)
        and (gated is None or (card.gated != "none") == gated)
        and (max_params is None or (card.params is not None and card.params <= max_params))
        and (group is None or card.group == group)
    ]  # fmt: skip


def why_unavailable(card: EncoderCard) -> str | None:
    """Why the encoder cannot be built here, or None when it can; looks for packages, downloads and imports nothing.

    Its published weights may be missing all the same: :func:`histoseed.encoders.why_no_weights`.
    """
    if card.family == "none" or card.gated == "unavailable":
        return card.reason or "its weights were never released"
    package = {"bundled": "torch", "timm": "timm", "transformers": "transformers"}[card.family]
    if importlib.util.find_spec(package) is None:
        extra = ' (pip install ".[hf]")' if package == "transformers" else ""
        return f"the package {package} is not installed{extra}"
    return None
