"""SLURM: scripts without a cluster, and jobs of a real one of one node."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

from fixtures.executor_processes import queued, records, wait_for
from fixtures.executor_units import break_down, draw, wait_first
from histoseed.errors import ClusterError, DependencyError, InputError
from histoseed.inference.executors import (
    ProcessExecutor,
    SlurmExecutor,
    SlurmPool,
    Unit,
    make_executor,
    write_array,
)
from histoseed.inference.executors.array import read_units, run_share
from histoseed.inference.executors.slurm_jobs import bytes_of

# A busy disk, or a machine without any network, is no fault of ours.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Creating scratch directories"),
    pytest.mark.filterwarnings("ignore:Couldn't detect a suitable IP address"),
]

HANDBOOK = Path(__file__).parents[3] / "docs" / "cluster.md"
SMALL = SlurmPool(name="test", memory="1 GB", walltime="00:10:00")
NETWORK = SlurmPool(
    name="network",
    jobs=4,
    cores=8,
    memory="32 GB",
    walltime="1-02:00:00",
    queue="gpu",
    account="pathology",
    gpus=2,
    gpu_directive="--gpus-per-node=a100:{gpus}",
    directives=["--constraint=fast"],
    prologue=["module load cuda"],
    python="/opt/my env/bin/python",
    local_directory="/scratch",
)


def draws(count: int) -> list[Unit]:
    return [Unit.of(draw, {"seed": seed}, key=f"draw-{seed}") for seed in range(count)]


def directives(script: str) -> list[str]:
    return re.findall(r"^#SBATCH (.*)$", script, flags=re.MULTILINE)


def test_the_array_script_asks_for_what_the_pool_says(tmp_path: Path) -> None:
    script = NETWORK.array_script(tmp_path)
    assert directives(script) == [
        "-J network",
        "--array=0-3",
        "-p gpu",
        "-A pathology",
        "-n 1",
        "--cpus-per-task=8",
        "--mem=30518M",  # 32e9 bytes are 30517.6 MiB
        "-t 1-02:00:00",
        "--requeue",
        "--gpus-per-node=a100:2",
        f"-o {tmp_path}/logs/network-%A_%a.out",
        "--constraint=fast",
    ]
    body = script.splitlines()[-6:]
    assert body[0] == "module load cuda"
    assert body[1] == "export OMP_NUM_THREADS=8"
    assert body[-1] == (
        f"exec '/opt/my env/bin/python' -P -m histoseed.inference.executors {tmp_path} --shares 4 --workers 1"
        ' --share "$SLURM_ARRAY_TASK_ID"'
    )
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=True).returncode == 0


def test_the_script_of_dask_workers_is_printed_without_a_cluster(tmp_path: Path, need: Callable[[str], None]) -> None:
    need("dask_jobqueue")
    text = SlurmExecutor(pools=[NETWORK, SlurmPool(name="rest", cores=4, workers=4)], interface="ib0").print_script(
        tmp_path
    )
    network, rest = text.split("#!/usr/bin/env bash")[1:]
    assert {"-p gpu", "-A pathology", "--mem=30518M", "--gpus-per-node=a100:2"} <= set(directives(network))
    assert "-p gpu" not in directives(rest)
    assert "module load cuda\n" in network
    command = network.strip().splitlines()[-1]
    assert command.startswith("'/opt/my env/bin/python' -m distributed.cli.dask_worker tcp://SCHEDULER:8786")
    for words in ("--nthreads 1 ", "--resources GPU=2", "--interface ib0", "--local-directory /scratch"):
        assert words in command
    assert "--nworkers 4" in rest
    assert "export OMP_NUM_THREADS=1\n" in rest
    assert "--resources CPU=1" in rest
    assert not list(tmp_path.iterdir())


def test_the_handbook_shows_what_is_printed(tmp_path: Path, need: Callable[[str], None]) -> None:
    need("dask_jobqueue")
    text = HANDBOOK.read_text("utf-8")
    described = dict(re.findall(r"```toml\n# (\w+)\.toml\n(.*?)```", text, flags=re.DOTALL))
    assert set(described) == {"laptop", "box", "cluster"}
    for name, content in described.items():
        (tmp_path / f"{name}.toml").write_text(content, "utf-8")
    executor = make_executor(str(tmp_path / "cluster.toml"))
    assert isinstance(executor, SlurmExecutor)
    folder = Path("/data/runs/trail")
    network, rest = executor.print_script(folder).split("#!/usr/bin/env bash")[1:]
    assert network.strip() in text
    assert "-p cpu" in directives(rest)
    assert executor.pools[0].array_script(folder).strip() in text
    assert make_executor(str(tmp_path / "laptop.toml")) == ProcessExecutor(workers=2, memory=6 * 10**9)
    assert make_executor(str(tmp_path / "box.toml")) == ProcessExecutor(gpus=[0, 1, 2, 3], threads=8, memory=48 * 10**9)


def test_the_handbook_lists_every_key_of_a_pool() -> None:
    listed = re.findall(
        r"^\| (`\w+`(?:, `\w+`)*) \|", HANDBOOK.read_text("utf-8").partition("| key of a pool")[2], re.M
    )
    assert {name for row in listed for name in re.findall(r"`(\w+)`", row)} == {
        field.name for field in fields(SlurmPool)
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queue": "a; rm -rf ~"}, "plain word"),
        ({"account": "a\n#SBATCH -p b"}, "plain word"),
        ({"name": "$(id)"}, "plain word"),
        ({"walltime": "soon"}, "HH:MM:SS"),
        ({"memory": "much"}, "8 GB"),
        ({"directives": ["-x\nrm"]}, "line break"),
        ({"jobs": 0}, "at least 1"),
        ({"workers": 9, "gpus": 0}, "more workers than cores"),
        ({"workers": 2}, "do not share out its GPUs"),
    ],
)
def test_what_cannot_stand_in_a_script_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(NETWORK, **change)


@pytest.mark.parametrize(
    ("text", "size"),
    [("8 GB", 8 * 10**9), ("512MiB", 2**29), ("1.5 g", 1_500_000_000), ("2TiB", 2**41), ("100", 100), ("3 kb", 3000)],
)
def test_sizes(text: str, size: int) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "GB", "0 GB", "-1 GB", "8 XB", "8 i", "8 GB 2"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError, match="no size"):
        bytes_of(text)


def test_pools_have_names_of_their_own() -> None:
    with pytest.raises(InputError, match="names of their own"):
        SlurmExecutor(pools=[SMALL, SMALL])
    with pytest.raises(InputError, match="at least one"):
        SlurmExecutor(pools=[])


def test_a_unit_needs_what_a_pool_offers(tmp_path: Path) -> None:
    unit = Unit.of(draw, {"seed": 1}, key="unit", needs={"GPU": 1})
    with pytest.raises(InputError, match=r"unit 'unit': No pool .* \(GPU=1\)"):
        SlurmExecutor(pools=[SMALL]).run([unit], tmp_path)


def test_without_slurm_the_command_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, need: Callable[[str], None]
) -> None:
    need("dask_jobqueue")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DependencyError, match="There is no sbatch here"):
        SlurmExecutor(pools=[SMALL]).run(draws(1), tmp_path)


def test_shares_are_disjoint_and_complete_and_leave_out_what_is_over(tmp_path: Path) -> None:
    units = [Unit.of(break_down, {"how": "raise"}, key="broken"), *draws(4)]
    ProcessExecutor(workers=1).run(units[:2], tmp_path)
    script = write_array(units, tmp_path, replace(SMALL, jobs=2))
    assert script.name == "submit.sh"
    assert read_units(tmp_path) == units[2:]
    done = [run_share(tmp_path, share, 2) for share in (0, 1)]
    assert [[o.unit.key for o in share] for share in done] == [["draw-1", "draw-3"], ["draw-2"]]
    write_array(units, tmp_path, SMALL, retry_failed=True)
    assert read_units(tmp_path) == units[:1]
    assert "--retry-failed" in (tmp_path / "submit.sh").read_text()
    with pytest.raises(InputError, match="from 0 to 1"):
        run_share(tmp_path, 2, 2)


def test_a_list_of_units_that_cannot_be_read(tmp_path: Path) -> None:
    for content in ("", "[{}]", '[{"key": "a", "function": "os.system", "arguments": {}}]'):
        (tmp_path / "units.json").write_text(content)
        with pytest.raises(InputError):
            read_units(tmp_path)
    command = [sys.executable, "-P", "-m", "histoseed.inference.executors", str(tmp_path), "--share=0", "--shares=1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "units.json" in done.stderr or "package.module:name" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("slurm")
class TestRealCluster:
    """Jobs of the one-node SLURM."""

    def test_a_cancelled_job_costs_its_unit_only(self, tmp_path: Path, need: Callable[[str], None]) -> None:
        need("dask_jobqueue")
        before = queued()
        path = tmp_path / "hit.0.pid"
        cancelled: set[str] = set()

        def cancel() -> None:
            wait_for(path.exists, "the unit to begin")
            cancelled.update(queued() - before)
            subprocess.run(["scancel", *cancelled], timeout=60, check=True)

        canceller = threading.Thread(target=cancel)
        canceller.start()
        units = [draws(2)[0], Unit.of(wait_first, {"name": "hit"}, key="hit"), draws(2)[1]]
        executor = SlurmExecutor(pools=[SMALL], interface="lo", tls=False, poll=0.5)
        outcomes = executor.run(units, tmp_path)
        canceller.join()
        assert len(cancelled) == 1
        assert [o.ok for o in outcomes] == [True, True, True]
        assert outcomes[1].result == 1  # it was begun once before
        assert (tmp_path / "calls.txt").read_text().split() == ["0", "1"]
        assert len(list((tmp_path / "logs").glob("test-*.out"))) == 2

    def test_jobs_that_end_at_once_end_the_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, need: Callable[[str], None]
    ) -> None:
        need("dask_jobqueue")
        monkeypatch.setattr("histoseed.inference.executors.slurm._LOSSES", 1)
        pool = replace(SMALL, prologue=["exit 1"])
        with pytest.raises(ClusterError, match="end before they have done a unit"):
            SlurmExecutor(pools=[pool], interface="lo", tls=False, poll=0.2).run(draws(1), tmp_path)
        assert not (tmp_path / "units" / "draw-0.json").exists()

    def test_slurm_says_why_it_refuses_a_job(self, tmp_path: Path, need: Callable[[str], None]) -> None:
        need("dask_jobqueue")
        with pytest.raises(InputError, match=r"pool 'test': SLURM would refuse the job: .*invalid partition"):
            SlurmExecutor(pools=[replace(SMALL, queue="nonsense")], tls=False).run(draws(1), tmp_path)

    def test_an_array_does_its_shares_and_the_run_goes_on_from_there(self, tmp_path: Path) -> None:
        units = [*draws(3), Unit.of(break_down, {"how": "raise"}, key="broken")]
        script = write_array(units, tmp_path, replace(SMALL, jobs=2))
        subprocess.run(["sbatch", str(script)], capture_output=True, timeout=60, check=True)
        wait_for(lambda: len(records(tmp_path)) == 4, "the records of all units")
        outcomes = ProcessExecutor(workers=1).run(units, tmp_path)
        assert [(o.ok, o.reused) for o in outcomes] == [(True, True)] * 3 + [(False, True)]
        assert sorted((tmp_path / "calls.txt").read_text().split()) == ["0", "1", "2"]
