"""The embedding cache: exact, bounded, and unharmed by other processes and by kill -9."""

from __future__ import annotations

import hashlib
import inspect
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import histoseed
from histoseed.encoders import EmbeddingCache, EncoderCard, build_encoder, embed, embedding_key
from histoseed.errors import InputError, OutputError

Tiny = Callable[..., EncoderCard]


def key_of(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def arrays_of(number: int) -> list[np.ndarray[Any, Any]]:
    """What belongs under :func:`key_of` of the same number."""
    rng = np.random.default_rng(number)
    return [rng.standard_normal((number % 7 + 1, 40, 40)).astype(kind) for kind in (np.float16, np.float32)]


def same(found: list[np.ndarray[Any, Any]] | None, expected: list[np.ndarray[Any, Any]]) -> bool:
    return found is not None and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(found, expected, strict=True)
    )


def test_arrays_come_back_bit_for_bit_and_in_order(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path / "c", 10**9)
    arrays = [np.full((2, 3), i, dtype=np.float32) for i in range(12)]
    arrays += [np.array([np.nan, np.inf, -0.0], dtype=np.float16), np.zeros((0, 4), np.float32)]
    assert cache.get(key_of(0)) is None
    assert cache.put(key_of(0), arrays)
    assert same(cache.get(key_of(0)), arrays)
    assert same(EmbeddingCache(tmp_path / "c", 10**9).get(key_of(0)), arrays)


def test_arrays_that_are_no_rows_in_memory_are_kept(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, 10**9)
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)[::2]
    cache.put(key_of(0), [array])
    assert same(cache.get(key_of(0)), [array])


def test_only_float16_and_float32_are_taken(tmp_path: Path) -> None:
    for kind in (np.float64, np.int32):
        with pytest.raises(InputError, match="float16 and float32"):
            EmbeddingCache(tmp_path, 10**9).put(key_of(0), [np.zeros(3, kind)])


def test_every_cut_and_every_flipped_byte_counts_as_absent(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, 10**9)
    arrays = [np.arange(1, 9, dtype=np.float32), np.arange(1, 5, dtype=np.float16)]
    cache.put(key_of(0), arrays)
    path = cache.path(key_of(0))
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert cache.get(key_of(0)) is None, length
    header = 8 + int.from_bytes(whole[:8], "little")
    for place in range(header, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert cache.get(key_of(0)) is None, place
    path.write_bytes(whole + b"\0")
    assert cache.get(key_of(0)) is None
    path.write_bytes(bytes(len(whole)))  # what a power cut leaves where the file's data never arrived
    assert cache.get(key_of(0)) is None
    assert cache.put(key_of(0), arrays)  # and is healed by the next write
    assert same(cache.get(key_of(0)), arrays)


def test_the_entries_not_used_for_longest_go_first(tmp_path: Path) -> None:
    entry = [np.zeros(2500, np.float32)]
    probe = EmbeddingCache(tmp_path / "probe", 10**9)
    probe.put(key_of(0), entry)
    cache = EmbeddingCache(tmp_path / "c", probe.size_bytes() * 10)
    for number in range(10):
        cache.put(key_of(number), entry)
        os.utime(cache.path(key_of(number)), (1000 + number, 1000 + number))
    assert cache.get(key_of(0)) is not None  # used now: the youngest
    cache.put(key_of(10), entry)
    left = [number for number in range(11) if cache.path(key_of(number)).exists()]
    assert left == [0, 3, 4, 5, 6, 7, 8, 9, 10]
    assert cache.size_bytes() <= cache.max_bytes


def test_the_cap_holds_over_many_writes_and_for_what_was_there_before(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, 300_000)
    for number in range(60):
        cache.put(key_of(number), arrays_of(number))
        assert cache.size_bytes() <= 300_000
    assert EmbeddingCache(tmp_path, 100_000).size_bytes() <= 100_000


def test_an_entry_larger_than_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, 1000)
    assert not cache.put(key_of(0), [np.zeros(1000, np.float32)])
    assert cache.size_bytes() == 0


def test_a_cache_that_cannot_write_warns_once_and_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cache = EmbeddingCache(tmp_path, 10**9)
    for number in range(2):
        (tmp_path / key_of(number)[:2]).write_bytes(b"in the way")
        assert not cache.put(key_of(number), arrays_of(number))
        assert cache.get(key_of(number)) is None
    assert len(caplog.records) == 1


def test_a_disk_that_fills_up_leaves_the_old_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = EmbeddingCache(tmp_path, 10**9)
    cache.put(key_of(0), arrays_of(0))
    write = Path.write_bytes

    def half(self: Path, data: bytes) -> int:
        write(self, data[: len(data) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half)
    assert not cache.put(key_of(0), arrays_of(1))
    assert same(cache.get(key_of(0)), arrays_of(0))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [cache.path(key_of(0)).name]


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be made"):
        EmbeddingCache(tmp_path / "file" / "cache", 10**9)


CHILD = """
import hashlib
from pathlib import Path
from typing import Any
import numpy as np
from histoseed.encoders.cache import EmbeddingCache
{functions}
cache = EmbeddingCache(Path({folder!r}), {cap})
print("ready", flush=True)
for turn in range({turns}):
    for number in range({numbers}):
        cache.put(key_of(number), arrays_of(number))
        found = cache.get(key_of(number))
        if found is not None and [a.tobytes() for a in found] != [a.tobytes() for a in arrays_of(number)]:
            print("torn", number, flush=True)
"""


def start(folder: Path, *, turns: int, numbers: int, cap: int = 10**9) -> subprocess.Popen[str]:
    """A process of its own that writes and reads, and can be killed without touching this one."""
    functions = inspect.getsource(key_of) + inspect.getsource(arrays_of)
    script = CHILD.format(functions=functions, folder=str(folder), cap=cap, turns=turns, numbers=numbers)
    environment = dict(os.environ) | {"PYTHONPATH": str(Path(histoseed.__file__).parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from __future__ import annotations\n" + script]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    children = [start(tmp_path, turns=3, numbers=40) for _ in range(2)]
    output = [child.communicate(timeout=30)[0] for child in children]
    assert output == ["", ""]
    assert [child.returncode for child in children] == [0, 0]
    cache = EmbeddingCache(tmp_path, 10**9)
    assert all(same(cache.get(key_of(number)), arrays_of(number)) for number in range(40))
    assert list(tmp_path.rglob("*.tmp")) == []


def test_two_processes_evict_from_one_folder(tmp_path: Path) -> None:
    cap = 400_000
    children = [start(tmp_path, turns=2, numbers=60, cap=cap) for _ in range(2)]
    assert [child.communicate(timeout=30)[0] for child in children] == ["", ""]
    assert [child.returncode for child in children] == [0, 0]
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.safetensors")) <= cap * (1 + 2 / 16)


def test_killed_writers_leave_no_torn_entry(tmp_path: Path) -> None:
    cache = EmbeddingCache(tmp_path, 10**9)
    for turn in range(4):
        child = start(tmp_path, turns=10**6, numbers=100)
        time.sleep(0.1 + 0.07 * turn)
        child.send_signal(signal.SIGKILL)
        output, _ = child.communicate(timeout=10)
        assert output == ""
        found = {number: cache.get(key_of(number)) for number in range(100)}
        assert all(same(arrays, arrays_of(number)) for number, arrays in found.items() if arrays is not None)
        assert any(arrays is not None for arrays in found.values())
    # What a killed process leaves is cleared away an hour later, and only then.
    folder = cache.path(key_of(0)).parent
    fresh, stale = folder / ".a.tmp", folder / ".b.tmp"
    for path in (fresh, stale):
        path.write_bytes(b"half an entry")
    os.utime(stale, (time.time() - 4000, time.time() - 4000))
    EmbeddingCache(tmp_path, 10**9)
    assert fresh.exists()
    assert not stale.exists()


def picture(seed: int, shape: tuple[int, ...] = (64, 64, 3)) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_a_key_tells_apart_everything_that_changes_the_maps() -> None:
    pixels = picture(0)
    other = pixels.copy()
    other[3, 4, 1] ^= 1
    keys = [
        embedding_key(pixels, "a"),
        embedding_key(other, "a"),
        embedding_key(pixels.reshape(32, 128, 3), "a"),
        embedding_key(pixels, "b"),
        embedding_key(pixels, "a", precision="float16"),
    ]
    assert len(set(keys)) == len(keys)
    assert embedding_key(np.asfortranarray(pixels), "a") == keys[0]


def test_the_fingerprint_tells_encoders_apart(tiny: Tiny) -> None:
    card = tiny("vit")
    encoders = [
        build_encoder(card),
        build_encoder(card, seed=1),
        build_encoder(card, taps=[0, 1, 2]),
        build_encoder(card, image_size=64),
        build_encoder(replace(card, mean=(0.4, 0.5, 0.5))),
    ]
    assert len({encoder.fingerprint() for encoder in encoders}) == len(encoders)
    with torch.no_grad():  # training changes it
        next(encoders[0].network.parameters()).add_(1e-3)
    assert encoders[0].fingerprint() not in {build_encoder(card).fingerprint()}


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_embeddings_are_the_encoder_and_come_from_the_cache_the_second_time(
    dtype: Any, tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = build_encoder(tiny("vit"))
    pictures = [picture(0), picture(1)]
    cache = EmbeddingCache(tmp_path, 10**9)
    first = embed(encoder, pictures, cache=cache, dtype=dtype)
    with torch.inference_mode():
        direct = [encoder(torch.from_numpy(p).permute(2, 0, 1)[None].float() / 255) for p in pictures]
    for maps, expected in zip(first, direct, strict=True):
        assert same(maps, [m[0].numpy().astype(dtype) for m in expected])
    monkeypatch.setattr(encoder, "forward", None)  # it is not asked again
    again = embed(encoder, pictures[::-1], cache=cache, dtype=dtype)
    assert all(same(a, b) for a, b in zip(again[::-1], first, strict=True))


def test_values_beyond_half_precision_stay_single(tmp_path: Path) -> None:
    encoder = build_encoder("timm:resnet18", taps=[0])
    with torch.no_grad():
        next(encoder.network.parameters()).mul_(1e6)
    maps = embed(encoder, [picture(0)], cache=EmbeddingCache(tmp_path, 10**9))[0]
    assert maps[0].dtype == np.float32
    assert np.isfinite(maps[0]).all()


def test_what_cannot_be_embedded_is_refused(tiny: Tiny) -> None:
    encoder = build_encoder(tiny("vit"))
    for wrong in (picture(0).astype(np.float32), picture(0)[..., 0], picture(0, (64, 64, 4))):
        with pytest.raises(InputError, match=r"picture 1: A picture is uint8"):
            embed(encoder, [picture(0), wrong])
    with pytest.raises(InputError, match="training mode"):
        embed(encoder.train(), [picture(0)])
    assert embed(encoder.freeze().train(), [picture(0)])
