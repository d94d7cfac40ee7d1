"""Output folders: what may be written where, what is resumed, and ``run.json``.

A verb opens its folder, works in it and finishes::

    with open_run(out, verb="adapt", inputs={"data": path}, settings={"patches": 2}, seed=0) as run:
        with run.timing("training"):
            ...
        run.path("model.json").write_text(...)
        run.finish({"steps": 400})

- A folder that is absent or empty: a new run.
- A folder whose ``run.json`` is unfinished and names the same verb, version, inputs (by content), settings and seed:
  the run is resumed; ``run.resumed`` says so and the verb finds what it left.
- Any other folder that is not empty: an error, unless ``overwrite`` is given; then what a run left there is removed.
  A folder without ``run.json`` was not written by a run and is never removed.

Times and the machine stand in ``run.json`` only, so that all other files of two equal runs are equal byte by byte.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import platform
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from histoseed._version import __version__
from histoseed.errors import HistoseedError, InputError, OutputError
from histoseed.files import explained, locked_folder, write_json
from histoseed.wording import some
from histoseed.workflows.fingerprints import fingerprint

__all__ = ["MANIFEST", "Run", "describe_run", "finished", "open_run", "run_status"]

MANIFEST = "run.json"
_LIBRARIES = ("numpy", "scipy", "scikit-image", "opencv-python-headless", "shapely", "polars", "pillow", "tifffile",
              "openslide-python", "torch", "torchvision", "timm", "transformers")  # fmt: skip
_SAME = ("verb", "histoseed", "inputs", "settings", "seed", "device", "dtype", "threads")
"""What must be equal for a run to be resumed: everything that decides about the bytes of its results."""


class Run:
    """An open output folder; a context manager, made by :func:`open_run`.

    Args:
        folder: The folder; it exists.
        manifest: Content of ``run.json`` so far.
        resumed: Whether an interrupted run goes on.
        created: Whether the folder itself was made by this run.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], *, resumed: bool, created: bool) -> None:
        self.folder = folder
        self.resumed = resumed
        self._manifest = manifest
        self._created = created
        self._lock = contextlib.ExitStack()

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Content of ``run.json``."""
        return self._manifest

    def path(self, name: str) -> Path:
        """Where the file or folder of that name belongs."""
        return self.folder / name

    @contextlib.contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Add the seconds of the block to the timings of ``run.json``; names may recur."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            timings = self._manifest["timings"]
            timings[name] = round(timings.get(name, 0.0) + time.perf_counter() - begin, 3)

    def record(self, **facts: Any) -> None:
        """Write further facts of the run into ``run.json`` at once (JSON values)."""
        self._manifest.update(facts)
        self._write()

    def finish(self, extra: Mapping[str, Any] | None = None) -> None:
        """Mark the run as finished; ``extra`` goes into ``run.json`` under ``results``."""
        self._manifest |= finished(self._manifest, extra or {}, timings=self._manifest["timings"])
        self._write()

    def _write(self) -> None:
        write_json(self.folder / MANIFEST, self._manifest)

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked_folder(self.folder))
            self._write()
            self._lock = stack.pop_all()  # only now: a first write that fails must not leave the folder locked
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            if error is None:
                if self._manifest["status"] == "running":
                    self.finish()
            elif isinstance(error, InputError) and not self.resumed:
                self._remove()
            elif isinstance(error, Exception):
                self._fail(error)
            else:  # Ctrl-C and the like keep what is there; the status stays "running"
                with contextlib.suppress(HistoseedError):
                    self._write()
        if isinstance(error, OSError):
            raise explained(error, self.folder) from error

    def _fail(self, error: Exception) -> None:
        self._manifest |= {"status": "failed", "error": f"{type(error).__name__}: {error}"}
        with contextlib.suppress(HistoseedError):  # a full disk must not hide the first error
            self._write()

    def _remove(self) -> None:
        """Bad input leaves nothing behind."""
        _empty(self.folder)
        if self._created:
            with contextlib.suppress(OSError):
                self.folder.rmdir()


def open_run(
    out: Path,
    *,
    verb: str,
    inputs: Mapping[str, Path],
    settings: Mapping[str, Any],
    seed: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    threads: int | None = None,
    overwrite: bool = False,
) -> Run:
    """Open an output folder for a verb; see the module for what is resumed and what is refused.

    Args:
        out: The folder.
        verb: Name of the verb.
        inputs: Name -> file or folder; their fingerprints are taken here.
        settings: JSON values that decide about the result.
        seed: Of the random numbers, where there are any.
        device: Where the network runs.
        dtype: Precision of the network.
        threads: Threads of the numeric libraries.
        overwrite: Remove what an earlier run left in the folder.

    Raises:
        InputError: an input is missing.
        OutputError: the folder is in use by something else, is not writable, or holds an input.
    """
    out = Path(out)
    manifest = describe_run(
        verb=verb, inputs=inputs, settings=settings, seed=seed, device=device, dtype=dtype, threads=threads
    )
    try:
        if out.exists() and not out.is_dir():
            raise OutputError("A file of that name is in the way.", where=out, fix="Choose another --out.")
        created = not out.exists()
        resumed = False
        if not created and any(out.iterdir()):
            old = _read_manifest(out)
            differs = [] if old is None else _differences(old, manifest)
            if overwrite:
                _refuse_removal(out, old, inputs)
                with locked_folder(out):
                    _empty(out)
            elif old is not None and old.get("status") != "finished" and not differs:
                resumed = True
                manifest = old | {key: value for key, value in manifest.items() if key not in ("started", "timings")}
                manifest.pop("error", None)
            else:
                raise _occupied(out, old, differs)
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise explained(error, out) from error
    return Run(out, manifest, resumed=resumed, created=created)


def describe_run(
    *,
    verb: str,
    inputs: Mapping[str, Path],
    settings: Mapping[str, Any],
    seed: int | None = None,
    device: str | None = None,
    dtype: str | None = None,
    threads: int | None = None,
) -> dict[str, Any]:
    """The content of ``run.json`` at the start of a run; arguments as in :func:`open_run`."""
    described = {name: {"path": str(path), "fingerprint": fingerprint(path)} for name, path in inputs.items()}
    return {
        "verb": verb,
        "histoseed": __version__,
        "status": "running",
        "inputs": described,
        "settings": json.loads(json.dumps(dict(settings), allow_nan=False)),
        "seed": seed,
        "device": device,
        "dtype": dtype,
        "threads": threads,
        "versions": _versions(),
        "started": _now(),
        "finished": None,
        "timings": {},
    }


def finished(
    manifest: Mapping[str, Any], results: Mapping[str, Any], *, timings: Mapping[str, float]
) -> dict[str, Any]:
    """The content of ``run.json`` at the end of a run, from that at its start."""
    return {
        **manifest,
        "status": "finished",
        "finished": _now(),
        "timings": dict(timings),
        "results": dict(results),
    }


def run_status(folder: Path) -> str | None:
    """``running``, ``failed`` or ``finished``; None where no run stands in the folder."""
    manifest = _read_manifest(Path(folder))
    return None if manifest is None else str(manifest.get("status"))


def _read_manifest(folder: Path) -> dict[str, Any] | None:
    """The manifest of a run, or None where no run left one."""
    try:
        content = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, UnicodeDecodeError, json.JSONDecodeError):
        return None
    return content if isinstance(content, dict) and "verb" in content and "histoseed" in content else None


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """In words, the things in which two runs differ; none where the first can be gone on with."""
    found: list[str] = []
    for name in _SAME:
        a, b = old.get(name), new[name]
        if name == "inputs":
            a, b = ({k: v.get("fingerprint") for k, v in (side or {}).items()} for side in (a, b))
        if a == b:
            continue
        if not isinstance(a, dict) or not isinstance(b, dict):
            found.append(f"its {name} was {a!r} (now {b!r})")
            continue
        a, b = _flat(a), _flat(b)
        for key in dict.fromkeys([*a, *b]):
            if name == "inputs" and a.get(key) != b.get(key):
                found.append(f"its input {key!r} is another")
            elif a.get(key) != b.get(key):
                found.append(f"{key!r} was {a.get(key)!r} (now {b.get(key)!r})")
    return found


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Nested settings, named like "plan.steps".

    >>> _flat({"seed": 0, "plan": {"steps": 80}})
    {'seed': 0, 'plan.steps': 80}
    """
    out: dict[str, Any] = {}
    for key, value in values.items():
        out |= _flat(value, f"{before}{key}.") if isinstance(value, dict) else {f"{before}{key}": value}
    return out


def _occupied(out: Path, old: Mapping[str, Any] | None, differs: Sequence[str]) -> OutputError:
    what, fix = "The folder is not empty, and no run of histoseed stands in it.", "Choose another --out."
    if old is not None:
        what, fix = f"The folder holds a finished run of {old['verb']!r}.", "Choose another --out, or add --overwrite."
    if old is not None and old.get("status") != "finished":
        what = f"The folder holds an unfinished run of {old['verb']!r} that differs: {some(differs)}."
        fix = "Give the options of that run to go on with it, choose another --out, or add --overwrite."
    return OutputError(what, where=out, fix=fix)


def _refuse_removal(out: Path, old: Mapping[str, Any] | None, inputs: Mapping[str, Path]) -> None:
    if old is None:
        what = "The folder was not written by a run of histoseed and is not removed."
        raise OutputError(what, where=out, fix="Choose another --out, or remove it yourself.")
    for name, path in inputs.items():
        if Path(path).resolve().is_relative_to(out.resolve()):
            raise OutputError(
                f"The input {name!r} lies in the folder to overwrite.", where=out, fix="Choose another --out."
            )


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
