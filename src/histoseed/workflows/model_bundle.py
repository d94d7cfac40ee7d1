"""``model``: what a model's parts allow, one file to pass it on behind the licence gate, and the way back."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoseed._version import __version__
from histoseed.encoders import get_card
from histoseed.encoders.hub import fetch_weights
from histoseed.encoders.store import WeightsStore
from histoseed.errors import ModelError, OutputError
from histoseed.files import sha256_of, staged_folder, write_json, write_text
from histoseed.workflows.bundling import (
    ENDING,
    MANIFEST,
    NOTICE,
    ONNX,
    Archive,
    Contents,
    Target,
    as_in_graph,
    gate,
    licence_notice,
    planned_card,
    write_archive,
)
from histoseed.workflows.models import model_folder

if TYPE_CHECKING:
    from histoseed.segmenters import ModelCard, Segmenter
    from histoseed.segmenters.licensing import Decision, ModelPart

__all__ = ["Shown", "export_model", "import_model", "show_model"]

_CARD, _WEIGHTS = "model.json", "model.safetensors"


@dataclass(frozen=True, slots=True)
class Shown:
    """A model and what may be done with it.

    Args:
        path: The folder, or the bundle.
        card: Its card.
        parts: What it was made from, and how that stands in its files.
        decision: Who may get it as it is.
        manifest: Of a bundle, or of the bundle that the folder comes from; None for any other folder.
    """

    path: Path
    card: ModelCard
    parts: list[ModelPart]
    decision: Decision
    manifest: Mapping[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "path": str(self.path),
            "card": self.card.model_dump(mode="json"),
            "parts": _listed(self.parts),
            "may_be_exported": self.decision,
            "bundle": None if self.manifest is None else dict(self.manifest),
        }


def show_model(model: str | Path) -> Shown:
    """The card of a model and what its parts allow; no weights are read.

    Args:
        model: ``bundled``, a model folder, or a bundle.

    Raises:
        ModelError: neither a model nor a bundle, or a damaged one.
    """
    from histoseed.segmenters import read_card

    path = model_folder(model)
    if not path.is_file():
        return _shown(path, read_card(path), None, graph=(path / ONNX).is_file())
    with Archive(path) as archive, tempfile.TemporaryDirectory() as folder:
        write_text(Path(folder) / _CARD, archive.text(_CARD))
        return _shown(path, read_card(Path(folder)), archive.manifest, graph=ONNX in archive.names)


def export_model(
    model: str | Path,
    *,
    out: str | Path,
    target: Target = "open",
    without_encoder: bool = False,
    without_groups: bool = False,
    merge: bool = False,
    onnx: bool = False,
    licences: Mapping[str, str] | None = None,
    overwrite: bool = False,
) -> Shown:
    """Put a model into one file, if the licences of its parts allow it.

    Args:
        model: ``bundled``, or a folder that ``adapt`` wrote.
        out: The bundle, a file whose name ends in ``.histoseed.zip``. It appears whole or not at all, and equal models
            give equal bytes.
        target: ``open``: for anybody; ``private``: for people who have accepted the licences of all parts.
        without_encoder: Leave out the encoder's published weights; whoever imports the bundle fetches them.
        without_groups: Leave out the names of patients and slides that the model was trained on.
        merge: Add the updates of LoRA to the encoder's weights, which are all stored then.
        onnx: Add ``model.onnx``: the raw maps, held against the model.
        licences: Part (``encoder``, ``data:NAME``) -> its licence, for parts whose card states none that is known.
        overwrite: Replace a bundle at ``out``.

    Returns:
        The bundle.

    Raises:
        ModelError: the model cannot be loaded, or a licence forbids it; the message names the part and what can be done
            instead.
        InputError: options that do not fit the model.
        OutputError: ``out`` is in use, or cannot be written.
    """
    from histoseed.segmenters import load_segmenter, read_card
    from histoseed.segmenters.model import check_segmenter

    source, file, stated = model_folder(model), _bundle_file(Path(out), overwrite=overwrite), dict(licences or {})
    contents = Contents(without_encoder=without_encoder, without_groups=without_groups, merge=merge, onnx=onnx)
    card = planned_card(read_card(source), contents, stated)
    gate(card, target, contents)  # before anything is loaded or fetched
    loaded = load_segmenter(source) if merge or onnx else check_segmenter(source)
    with tempfile.TemporaryDirectory(prefix="histoseed-") as name:
        stage = Path(name)
        files, card = _model_files(loaded, source, card, stage, contents)
        graph = None
        if onnx:
            from histoseed.workflows.bundling.onnx_graph import write_graph

            graph = write_graph(loaded, stage / ONNX)
            files[ONNX] = stage / ONNX
        shown = _shown(file, card, None, graph=onnx)
        write_text(stage / NOTICE, licence_notice(card, shown.parts, target, stated))
        files[NOTICE] = stage / NOTICE
        manifest = write_archive(
            file,
            files,
            {
                "histoseed": __version__,
                "name": card.name,
                "target": target,
                "encoder_included": card.encoder.stored or onnx,
                "parts": _listed(shown.parts),
                "stated_at_export": stated,
                "onnx": graph,
            },
        )
    return replace(shown, manifest=manifest)


def import_model(
    bundle: str | Path, *, out: str | Path, fetch: bool = True, overwrite: bool = False, store: Path | None = None
) -> Shown:
    """Take a model out of a bundle: all hashes and all tensors are looked at before the folder appears.

    Args:
        bundle: The file.
        out: Folder of the model; absent or empty.
        fetch: Where the encoder's weights are not in the bundle, get them now, from the store or from the hub, with the
            hash that the model was trained on. Without, they are fetched when the model is first used.
        overwrite: Replace an earlier import at ``out``.
        store: Folder of the store; None is ``weights`` in the cache folder.

    Returns:
        The model folder.

    Raises:
        ModelError: no bundle, a damaged one, weights that do not fit the card, or an encoder that is not to be had.
        GatedModelError: the encoder's weights must be asked for.
        LimitError: it is larger than ``max_bundle_bytes``.
        OutputError: ``out`` is in use, or cannot be written.
    """
    from histoseed.segmenters.model import check_segmenter

    folder, file = Path(out), Path(bundle)
    if overwrite and folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        what = "The folder holds no imported model and is not removed."
        raise OutputError(what, where=folder, fix="Choose another --out, or remove it yourself.")
    with Archive(file) as archive, staged_folder(folder, overwrite=overwrite) as stage:
        archive.extract(stage)
        with _anything_in_the_card(file):
            card = check_segmenter(stage).card
        if not card.encoder.stored:
            _look_up_encoder(card, file, fetch=fetch, store=store)
        manifest, graph = archive.manifest, ONNX in archive.names
    return _shown(folder, card, manifest, graph=graph)


def _model_files(
    loaded: Segmenter, source: Path, card: ModelCard, stage: Path, contents: Contents
) -> tuple[dict[str, Path], ModelCard]:
    """Weights and card of the bundle: the weights as they are in the folder, where nothing is added or left out."""
    from histoseed.segmenters import write_model_files
    from histoseed.segmenters.methods import merge_lora

    if contents.merge:
        loaded.encoder = merge_lora(loaded.encoder)
    loaded.card = card
    if contents.merge or contents.without_encoder:
        card = write_model_files(loaded, stage)
        return {_CARD: stage / _CARD, _WEIGHTS: stage / _WEIGHTS}, card
    weights = source / _WEIGHTS
    card = card.model_copy(update={"weights_sha256": sha256_of(weights)})
    write_json(stage / _CARD, card.model_dump(mode="json"))
    return {_CARD: stage / _CARD, _WEIGHTS: weights}, card


def _look_up_encoder(card: ModelCard, bundle: Path, *, fetch: bool, store: Path | None) -> None:
    """Get the encoder's weights that the bundle names by their hash.

    Raises:
        ModelError: they are not to be had, or the bundle names none that can be fetched.
    """
    entry = card.encoder
    if entry.weights != "hub" or entry.sha256 is None:
        what = "The encoder's weights are not in the bundle, and it does not say by their hash which they are."
        raise ModelError(what, where=bundle, fix="Ask for another export of it.")
    if not fetch:
        return
    pinned = replace(get_card(entry.name), revision=entry.revision, sha256=entry.sha256)
    try:
        fetch_weights(pinned, store=WeightsStore(store))
    except ModelError as error:
        later = f"{error.fix or ''} Or add --no-fetch: they are then fetched at the first use."
        raise type(error)(error.what, where=error.where, fix=later.strip()) from error


@contextmanager
def _anything_in_the_card(bundle: Path) -> Iterator[None]:
    """A stranger's card may ask for any network; what a library then says is an error of the bundle."""
    try:
        yield
    except (ArithmeticError, AssertionError, LookupError, MemoryError, RuntimeError, TypeError, ValueError) as error:
        what = f"The network that {_CARD} describes cannot be made ({type(error).__name__}: {str(error)[:200]})."
        raise ModelError(what, where=bundle, fix="Ask for another export of it.") from error


def _bundle_file(file: Path, *, overwrite: bool) -> Path:
    """Where the bundle goes.

    Raises:
        OutputError: another ending, or something stands there that is not to be replaced.
    """
    if not file.name.endswith(ENDING):
        raise OutputError("A bundle has another ending.", where=file, fix=f"Name it for instance model{ENDING}.")
    if file.is_dir():
        raise OutputError("This is a folder.", where=file, fix="Choose another --out.")
    if file.exists() and not overwrite:
        raise OutputError("The file exists.", where=file, fix="Choose another --out, or add --overwrite.")
    if file.exists():
        try:
            with Archive(file):
                pass
        except ModelError as error:
            what = "The file is no bundle of histoseed and is not replaced."
            raise OutputError(what, where=file, fix="Choose another --out, or remove it yourself.") from error
    return file


def _shown(path: Path, card: ModelCard, manifest: Mapping[str, Any] | None, *, graph: bool) -> Shown:
    from histoseed.segmenters.licensing import decide, parts_of

    parts = parts_of(as_in_graph(card) if graph else card)
    return Shown(path, card, parts, decide(parts), manifest)


def _listed(parts: Sequence[ModelPart]) -> list[dict[str, Any]]:
    return [asdict(part) | {"decision": part.decision} for part in parts]
