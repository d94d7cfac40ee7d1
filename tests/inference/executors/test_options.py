"""From words and TOML files to executors."""

from __future__ import annotations

from pathlib import Path

import pytest

from histoseed.errors import InputError
from histoseed.inference.executors import (
    DaskExecutor,
    ProcessExecutor,
    SerialExecutor,
    SlurmExecutor,
    SlurmPool,
    make_executor,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("serial", SerialExecutor()),
        ("processes", ProcessExecutor()),
        ("processes:4", ProcessExecutor(workers=4)),
        ("dask:2", DaskExecutor(workers=2)),
        ("local", DaskExecutor()),
        ("tcp://node:8786", DaskExecutor(address="tcp://node:8786")),
        ("tls://node:8786", DaskExecutor(address="tls://node:8786")),
        ("slurm", SlurmExecutor()),
    ],
)
def test_words(text: str, expected: object) -> None:
    assert make_executor(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("proceses", "Use processes"),
        ("", "Use serial or processes"),
        ("serial:2", "cannot be given in this way"),
        ("slurm:2", "cannot be given in this way"),
        ("dask:", "cannot be given in this way"),
        ("dask:-1", "cannot be given in this way"),
        ("dask:0", "must be positive"),
        ("absent.toml", "cannot be read"),
    ],
)
def test_wrong_words(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_executor(text)


def from_toml(folder: Path, text: str) -> object:
    path = folder / "cluster.toml"
    path.write_text(text, "utf-8")
    return make_executor(str(path))


def test_a_file_of_each_executor(tmp_path: Path) -> None:
    assert from_toml(tmp_path, 'executor = "serial"') == SerialExecutor()
    text = 'executor = "processes"\nworkers = 4\ngpus = [0, 1, "GPU-5"]\nmemory = "8 GB"\n'
    assert from_toml(tmp_path, text) == ProcessExecutor(workers=4, gpus=[0, 1, "GPU-5"], memory=8 * 10**9)
    text = 'executor = "dask"\nworkers = 2\npatience = 60\ntls = false\n[resources]\nGPU = 1\n'
    assert from_toml(tmp_path, text) == DaskExecutor(workers=2, patience=60, tls=False, resources={"GPU": 1})


def test_a_file_with_pools(tmp_path: Path) -> None:
    text = """
        executor = "slurm"
        interface = "ib0"
        [[pools]]
        name = "network"
        jobs = 4
        gpus = 1
        queue = "gpu"
        prologue = ["module load cuda"]
        [[pools]]
        name = "rest"
        cores = 8
        workers = 8
    """
    network = SlurmPool(name="network", jobs=4, gpus=1, queue="gpu", prologue=["module load cuda"])
    rest = SlurmPool(name="rest", cores=8, workers=8)
    assert from_toml(tmp_path, text) == SlurmExecutor(interface="ib0", pools=[network, rest])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("workers = 2", "no executor None"),
        ('\nexecutor = "slrum"', r"line 2: There is no executor 'slrum'\. Fix: Use slurm"),
        (
            'executor = "processes"\n\nwrokers = 2',
            r"line 3: There is no key 'wrokers' in the executor processes\. Fix: Did you mean workers",
        ),
        ('executor = "processes"\nworkers = "two"', r"line 2: workers = 'two' is not valid"),
        ('executor = "processes"\nworkers = true', r"line 2: workers = True is not valid"),
        ('executor = "processes"\nworkers = 0', r"cluster.toml, line 2: The value must be positive"),
        ('executor = "processes"\nmemory = "8 apples"', r"line 2: '8 apples': This is no size of a memory"),
        ('executor = "serial"\nworkers = 2', "Keys of the executor serial are: none"),
        ('executor = "slurm"\npools = 3', r"line 2: Pools stand under"),
        ('executor = "slurm"\n[pools]\njobs = 3', r"line 2: Pools stand under"),
        ('executor = "slurm"\npools = [3]', r"line 2: Pools stand under"),
        ('executor = "processes"\npools = []', r"line 2: There is no key 'pools'"),
        ('executor = "slurm"\n[[pools]]\nname = "a"\n[[pools]]\nquene = "gpu"', r"line 5: There is no key 'quene'"),
        ('executor = "slurm"\n[[pools]]\njobs = 1\n[[pools]]\njobs = "1"', r"line 5: jobs = '1' is not valid"),
        ('executor = "slurm"\n[[pools]]\n[[pools]]\njobs = 0', r"line 3: pool 'histoseed': Jobs, workers and cores"),
        ('executor = "slurm"\n[[pools]]\n[[pools]]', r"cluster.toml: \['histoseed', 'histoseed'\]: Pools of SLURM"),
        ('executor = ["serial"]', "line 1: There is no executor"),
        ("executor = ", "cannot be read"),
    ],
)
def test_wrong_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_toml(tmp_path, text)
