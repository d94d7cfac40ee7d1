"""The raw maps of a model as an ONNX graph, written only where it gives what the model gives."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histoseed.errors import DependencyError, ModelError
from histoseed.wording import counted

if TYPE_CHECKING:
    import torch

    from histoseed.segmenters import Segmenter

__all__ = ["TOLERANCE", "write_graph"]

TOLERANCE = 1e-4
"""Largest difference allowed, as a share of the largest absolute value of the map (each map of its own)."""

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_LARGEST = 2_000_000_000
"""Bytes; a file of this format holds at most 2 GiB."""

_BATCHES = (1, 2, 3)
_INPUT, _OUTPUT = "images", "maps"


def write_graph(model: Segmenter, path: Path) -> dict[str, Any]:
    """Write the graph and hold it against the model.

    The graph takes ``images`` (batch, 3, crop, crop), float32 RGB in [0, 1], in batches of any size, and gives ``maps``
    (batch, outputs, height, width): the raw maps, before what turns them into probabilities and nuclei.

    It is run on random pixels in batches of 1, 2 and 3, and on crops of real tissue.

    Args:
        model: In evaluation mode, on the processor, in float32.
        path: The file; written only where all agrees.

    Returns:
        What stands in the bundle's manifest: shapes, tolerance, the largest difference found, versions.

    Raises:
        ModelError: something of the model has no counterpart in ONNX, the graph is too large, or it gives other maps.
        DependencyError: the packages are missing.
    """
    onnx, runtime = _packages()
    if model.classifier is not None:
        what = "Its classes come from the encoder's tokens in each cell, and a graph of raw maps holds no such step."
        raise _refused(what)
    size = sum(tensor.numel() * tensor.element_size() for tensor in model.state_dict().values())
    if size > _LARGEST:
        raise _refused(f"Its weights have {size:,} bytes, and a file of this format holds at most 2 GiB.")
    proto = _exported(model)
    _stripped(proto)
    data = proto.SerializeToString(deterministic=True)
    try:
        onnx.checker.check_model(data, full_check=True)
        session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    except Exception as error:  # these packages have no common root
        raise _refused(f"The graph cannot be run: {_first_line(error)}.") from error
    difference = _largest_difference(model, session)
    if not difference <= TOLERANCE:
        what = f"The graph gives other maps: they differ by {difference:.1e} of their largest value, more than "
        raise _refused(f"{what}{TOLERANCE:g}.")
    path.write_bytes(data)
    given, made = session.get_inputs()[0], session.get_outputs()[0]
    return {
        "input": {"name": given.name, "shape": list(given.shape), "values": "RGB in [0, 1], float32"},
        "output": {"name": made.name, "shape": list(made.shape), "values": "raw maps, float32"},
        "opset": next(entry.version for entry in proto.opset_import if entry.domain == ""),
        "tolerance": TOLERANCE,
        "largest_difference": float(f"{difference:.0e}"),
        "versions": {name: version(name) for name in ("torch", *_PACKAGES)},
    }


def _packages() -> tuple[Any, Any]:
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  torch's exporter needs it
    except ImportError as error:
        what = f"A package for ONNX is missing ({error})."
        raise DependencyError(what, where="--onnx", fix='Install them: pip install "histoseed[onnx]"') from error
    return onnx, onnxruntime


def _exported(model: Segmenter) -> Any:
    """The graph as torch's exporter makes it, the batch left open."""
    import torch

    example = torch.zeros(2, 3, model.card.crop, model.card.crop)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                model.to(memory_format=torch.contiguous_format),
                (example,),
                dynamo=True,
                dynamic_shapes={_INPUT: {0: torch.export.Dim("batch", min=1, max=4096)}},
                input_names=[_INPUT],
                output_names=[_OUTPUT],
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError, TypeError, ValueError, AssertionError) as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        raise _refused(f"Something in it has no counterpart in ONNX: {_first_line(cause)}") from error
    proto = program.model_proto if program is not None else None
    batch = None if proto is None else proto.graph.input[0].type.tensor_type.shape.dim[0]
    if batch is None or not batch.dim_param:
        raise _refused("Some step of it fixes the number of images a batch.")
    return proto


def _stripped(proto: Any) -> None:
    """Without what is said about the machine that wrote it: places in source files, stack traces."""
    del proto.metadata_props[:]
    graphs = [proto.graph, *proto.functions]
    while graphs:
        graph = graphs.pop()
        del graph.metadata_props[:]
        graph.doc_string = ""
        for entry in (*graph.node, *graph.value_info, *getattr(graph, "input", ()), *getattr(graph, "initializer", ())):
            if hasattr(entry, "metadata_props"):
                del entry.metadata_props[:]
            if hasattr(entry, "doc_string"):
                entry.doc_string = ""
        graphs += [one.g for node in graph.node for one in node.attribute if one.HasField("g")]


def _largest_difference(model: Segmenter, session: Any) -> float:
    """Over all pictures and maps, each map measured by its largest absolute value; infinite where one fails."""
    import torch

    worst = 0.0
    for pictures in _pictures(model.card.crop):
        with torch.no_grad():
            expected = model(pictures)
        try:
            (given,) = session.run([_OUTPUT], {_INPUT: pictures.numpy()})
        except Exception as error:  # the runtime's exceptions have no common root
            raise _refused(f"The graph fails on {counted(len(pictures), 'image')}: {_first_line(error)}.") from error
        found = torch.from_numpy(given)
        if found.shape != expected.shape or not bool(torch.isfinite(found).all()):
            return float("inf")
        scale = expected.abs().amax((0, 2, 3)).clamp_min(1e-6)
        worst = max(worst, float(((found - expected).abs().amax((0, 2, 3)) / scale).max()))
    return worst


def _pictures(side: int) -> Iterator[torch.Tensor]:
    """Batches (n, 3, side, side) in [0, 1]: random pixels, then crops of real tissue."""
    import torch
    from skimage.data import immunohistochemistry

    generator = torch.Generator().manual_seed(0)
    for count in _BATCHES:
        yield torch.rand(count, 3, side, side, generator=generator)
    tissue = torch.from_numpy(immunohistochemistry().copy()).permute(2, 0, 1)[None].float() / 255  # type: ignore[no-untyped-call]
    least = max(1, -(-side // tissue.shape[-1]))
    if least > 1:
        tissue = torch.nn.functional.interpolate(tissue, scale_factor=least, mode="bilinear")
    crops = tissue.unfold(2, side, side).unfold(3, side, side).flatten(2, 3)[0].movedim(1, 0)
    yield crops[:4].contiguous()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter explains itself at length on standard output and error; what matters is in its exception."""
    log = logging.getLogger("torch")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        log.setLevel(level)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def _refused(what: str) -> ModelError:
    return ModelError(f"This model cannot be written as ONNX. {what}", where="--onnx", fix="Leave --onnx out.")
