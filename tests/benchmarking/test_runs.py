"""From a plan to results: the cross product, reasons, resuming, failures, killed workers."""

import contextlib
import json
import os
import shutil
import signal
import threading
from pathlib import Path

import polars as pl
import pytest
import torch

from fixtures.disc_sets import SMALL, write_discs
from fixtures.executor_processes import wait_for
from histoseed.benchmarking import plan_benchmark, run_benchmark
from histoseed.benchmarking.expand import expand
from histoseed.benchmarking.plan import read_plan
from histoseed.datasets import read_dataset
from histoseed.encoders import build_encoder
from histoseed.errors import InputError, OutputError
from histoseed.inference.executors.processes import thread_counts
from histoseed.segmenters import DecoderEntry, EncoderEntry, ModelCard, Segmenter, save_segmenter
from histoseed.workflows.adapt import adapt

RANDOM = f'[[arms]]\nencoder = "bundled"\nweights = "random"\n{SMALL}'
BUNDLED = '[[arms]]\nencoder = "bundled"\nsource = "bundled"\nsteps = 1\nbatch = 1\n'


def records(out):
    return {path.stem: json.loads(path.read_text()) for path in (out / "units").glob("*.json")}


def results(out):
    done = [one["result"] for one in records(out).values() if one["status"] == "done"]
    return [one for one in done if "scores" in one]


def reasons(plan, data):
    return {one.why for one in expand(read_plan(plan), data).missing}


def test_the_cross_product_is_whole(data, write_plan):
    arms = RANDOM + 'method = ["frozen", "full"]\n' + BUNDLED + 'patches = [0, "all"]\n'
    plan = write_plan(
        arms, protocol='patches = [1, 2, "all"]\ndraws = 3\nseeds = 2', datasets='[[datasets]]\nname = "discs"\n'
    )
    made = expand(read_plan(plan), data)
    counts = {}
    for run in made.runs:
        key = (run.arm.method, run.arm.source, run.budget["asked"])
        counts[key] = counts.get(key, 0) + 1
    one = {1: 6, 2: 6, "all": 2}  # draws x seeds; all patches can be drawn in one way
    assert counts == {("frozen", "none", n): c for n, c in one.items()} | {
        ("full", "none", n): c for n, c in one.items()
    } | {("full", "bundled", 0): 1, ("full", "bundled", "all"): 2}
    assert not made.missing
    assert len({run.unit.key for run in made.runs}) == len(made.runs)
    assert str(data) not in json.dumps([run.unit.as_json() for run in made.runs])  # keys do not depend on places


@pytest.mark.parametrize(
    ("arms", "why"),
    [
        ('encoder = "uni"', "accepted licence"),
        ('encoder = "dinov2-small"', "not in the store"),
        ('encoder = "rudolfv"', "cannot be built"),
        ('encoder = "bundled"\nmethod = "lora"', "LoRA changes linear layers"),
        ('encoder = "bundled"\npatches = [0]', "Without a patch only a trained start can be scored"),
        ('encoder = "bundled"\npatches = [99]', "has 4 crops of 64 um with an annotated object, not 99"),
        ('encoder = "bundled"\nweights = "hub"', "not on a hub"),
        ('encoder = "bundled"\nselection = "quality"', "no predictor"),
        ('encoder = "bundled"\nselection = "uncertain"', "needs a source"),
        ('encoder = "timm:resnet10t"\nweights = "no/such.safetensors"', "no weights file"),
        ('encoder = "bundled"\nweights = "random"\nsource = "bundled"', "with its weights"),
        ('encoder = "bundled"\nsource = "bundled"\nset = { "decoder.widths" = [8, 8, 8, 8] }', "gives the decoder"),
    ],
)
def test_what_is_missing_has_a_reason(data, write_plan, arms, why):
    plan = write_plan(f"[[arms]]\n{arms}\n", protocol="patches = [1]\ndraws = 2\ntest_share = 0.4")
    made = expand(read_plan(plan), data)
    assert not made.runs
    (missing,) = made.missing
    assert why in missing.why
    assert missing.runs == (1 if "[0]" in arms else 2)


def test_data_sets_that_are_missing_have_reasons(data, write_plan):
    sets = '[[datasets]]\nname = "typed"\n[[datasets]]\nname = "discs"\n[[datasets]]\nname = "nowhere"\n'
    protocol = 'patches = [1]\ndraws = 1\nscore = "mpq"'
    made = expand(read_plan(write_plan(RANDOM, protocol=protocol, datasets=sets)), data)
    assert [run.dataset for run in made.runs] == ["typed"]
    assert {one.dataset: one.why.split(".")[0] for one in made.missing} == {
        "discs": "discs has no classes, and the plan scores classes",
        "nowhere": f"There is no data set 'nowhere' in {data} or {data.parent}",
    }
    unknown = '[[datasets]]\nname = "typed"\nclasses = "lizard"\n'
    (why,) = reasons(write_plan(RANDOM, datasets=unknown), data)
    assert "there is no table [typed]" in why


def test_nothing_to_run_is_an_error(data, write_plan, tmp_path):
    with pytest.raises(InputError, match="the weights of 1 encoder are not here"):
        run_benchmark(write_plan('[[arms]]\nencoder = "uni"\n'), data=data, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_encoders_of_models_tell_whether_they_began_as_random_numbers(data, write_plan, tmp_path):
    """By the model's card, over as many models as took their encoder from each other."""
    one, two, other = (tmp_path / name for name in ("one", "two", "other"))
    decoder = {"widths": (8, 8, 8, 8), "image_widths": (4, 4)}
    for folder, weights in ((one, "random"), (other, "bundled")):
        entry = EncoderEntry(name="bundled", weights=weights)
        card = ModelCard(histoseed="test", name="m", mpp=0.5, encoder=entry, decoder=DecoderEntry(**decoder))
        save_segmenter(Segmenter(build_encoder("bundled", weights=weights), card), folder)
    adapt(
        data / "discs", out=two, encoder=str(one), decoder_options=decoder, method="frozen", steps=1, batch=1,
        patches=1, device="cpu",
    )  # fmt: skip
    assert json.loads((two / "model.json").read_text())["encoder"]["weights"].endswith("model.safetensors")
    tensors = tmp_path / "tensors.safetensors"
    shutil.copy(one / "model.safetensors", tensors)
    arms = "".join(
        f'[[arms]]\nencoder = "{encoder}"\n{f"weights = {json.dumps(str(weights))}" if weights else ""}\n'
        for encoder, weights in [
            (one, None), (two, None), (other, None),
            ("bundled", two / "model.safetensors"), ("bundled", other / "model.safetensors"), ("bundled", tensors),
        ]
    )  # fmt: skip
    made = expand(read_plan(write_plan(arms)), data)
    assert not made.missing
    assert [run.arm.random_weights for run in made.runs] == [True, True, False, True, False, False]


def test_a_run_says_what_was_done(data, write_plan, tmp_path):
    plan = write_plan(RANDOM, datasets='[[datasets]]\nname = "typed"\n')
    made = run_benchmark(plan, data=data, out=tmp_path / "out")
    assert (made["runs"], made["done"], made["reused"], made["failed"]) == (1, 1, 0, [])
    (found,) = results(tmp_path / "out")
    parts = expand(read_plan(plan), data)
    assert found["version"] == 1
    assert (found["dataset"], found["encoder"], found["weights"], found["decoder"]) == (
        "typed",
        "bundled",
        "random",
        "skip",
    )
    assert found["random_weights"] is True
    assert (found["patches"], found["budget"]) == (1, {"unit": "patches", "asked": 1})
    assert found["nuclei"] == sum(found["kinds"].values()) > 0
    assert set(found["groups"]) == set(found["test_groups"])
    assert set(found["classes"]) == {"even", "odd"}
    truth = read_dataset(data / "typed").instances
    tested = [p for p in truth["patch_id"] if p in {f"p{k}" for k in range(6)} - _trained(data / "typed", found)]
    assert sum(one["instances"] for one in found["classes"].values()) == len(tested)
    cost = found["cost"]
    assert cost["train_seconds"] > 0
    assert cost["peak_memory_bytes"] > 50e6
    assert 0 < cost["trainable_parameters"] < cost["parameters"]
    assert (cost["steps"], cost["device"]) == (1, "cpu")
    assert found["licence"] == {"encoder": "Apache-2.0", "dataset": "CC0-1.0", "commercial": "yes"}
    assert (found["seen"], found["seen_why"]) == ("no", "The encoder started from random weights.")
    assert parts.facts["typed"]["test_patches"] == found["test_patches"]
    assert not list((tmp_path / "out" / "work").iterdir())  # models of runs are not kept


def _trained(path, found):
    """Patches that are not of a test group."""
    table = read_dataset(path).patches
    return {p for p, g in table.select("patch_id", "patient").iter_rows() if g not in found["test_groups"]}


def test_a_class_map_may_say_what_objects_without_a_class_are(data, write_plan, tmp_path):
    write_discs(data / "half", classes=("even", None))
    (tmp_path / "map.toml").write_text('[half]\neven = "even"\nunclassified = "odd"\n')
    sets = '[[datasets]]\nname = "half"\nclasses = "map.toml"\n'
    plan = write_plan(RANDOM, datasets=sets, protocol='patches = [1]\ndraws = 1\nscore = "f1_class_mean"')
    made = run_benchmark(plan, data=data, out=tmp_path / "out")
    assert (made["done"], made["failed"]) == (1, [])
    (found,) = results(tmp_path / "out")
    tested = [f"p{k}" for k in range(6) if f"p{k}" not in _trained(data / "half", found)]
    truth = read_dataset(data / "half").instances.filter(pl.col("patch_id").is_in(tested))["class_name"]
    counts = {name: one["instances"] for name, one in found["classes"].items()}
    assert counts == {"even": (truth == "even").sum(), "odd": truth.null_count()}
    # Where a map does not say it, the keys of runs are what they were before it could.
    (tmp_path / "map.toml").write_text('[half]\neven = "even"\n')
    (run,) = expand(read_plan(plan), data).runs
    assert set(run.unit.arguments["dataset"]) == {"name", "fingerprint", "classes", "mpp"}


def test_draws_are_nested_and_never_of_a_test_group(data, write_plan, tmp_path):
    quick = RANDOM + 'method = "full"\n'
    for protocol in ("patches = [1, 3]\ndraws = 2", "patches = [1]\ndraws = 1\nseeds = 2"):
        plan = write_plan(quick, protocol=f"{protocol}\ntest_share = 0.3")
        run_benchmark(plan, data=data, out=tmp_path / "out")
    found = results(tmp_path / "out")
    patient = dict(read_dataset(data / "discs").patches.select("patch_id", "patient").iter_rows())
    annotated = {}
    for one in found:
        of_run = [name.split("_x")[0] for name in one["annotated"]]
        assert not {patient[name] for name in of_run} & set(one["test_groups"])
        annotated.setdefault((one["draw"], one["budget"]["asked"]), set()).add(tuple(one["annotated"]))
    assert {len(value) for value in annotated.values()} == {1}  # the seed of the training does not draw
    for draw in (0, 1):
        one, three = (next(iter(annotated[draw, n])) for n in (1, 3))
        assert one == three[:1]
        assert len({patient[name.split("_x")[0]] for name in three[:2]}) == 2  # slides take turns
    assert annotated[0, 3] != annotated[1, 3]
    assert len({tuple(one["test_groups"]) for one in found}) == 1


def test_no_patch_scores_the_start_as_it_is(data, write_plan, tmp_path):
    from histoseed.benchmarking.parts import Test as Chosen
    from histoseed.benchmarking.parts import parts_of
    from histoseed.workflows.evaluate import evaluate

    run_benchmark(write_plan(BUNDLED + "patches = [0]\n"), data=data, out=tmp_path / "out")
    (found,) = results(tmp_path / "out")
    test = parts_of(read_dataset(data / "discs"), Chosen()).test
    expected = evaluate(test, model="bundled", resamples=5)
    assert found["scores"]["pq"] == expected["pq"]
    assert found["scores"]["aji"] == expected["aji"]
    assert (found["patches"], found["nuclei"], found["annotated"]) == (0, 0, [])
    assert (found["cost"]["trainable_parameters"], found["cost"]["steps"]) == (0, 0)
    assert (found["seen"], found["seen_related"]) == ("not listed", [])


@pytest.mark.parametrize(("name", "seen"), [("nucls_cc0_sample", "yes"), ("nucls_sample", "perhaps")])
def test_what_the_bundled_model_was_trained_on_is_told(data, write_plan, tmp_path, name, seen):
    shutil.move(write_discs(data / name), data / "renamed")
    plan = write_plan(BUNDLED + "patches = [0]\n", datasets='[[datasets]]\nname = "renamed"\n')
    run_benchmark(plan, data=data, out=tmp_path / "out")
    (found,) = results(tmp_path / "out")
    assert (found["seen"], found["seen_related"]) == (seen, ["nucls_cc0_sample"])
    assert "nucls_cc0_sample" in found["seen_why"]


@pytest.mark.parametrize(
    ("arm", "methods"),
    [
        ('encoder = "bundled"\nsource = "bundled"', ["full"]),
        ('encoder = "bundled"\nsource = ["none", "bundled"]', ["frozen", "full"]),
        ('encoder = "timm:resnet10t"\nweights = "random"', ["frozen"]),
        ('encoder = "bundled"\nsource = "bundled"\nmethod = ["default", "bitfit"]', ["full", "bitfit"]),
        ('encoder = "bundled"\nsource = "bundled"\nmethod = ["frozen", "full"]', ["frozen", "full"]),
    ],
)
def test_an_arm_without_a_method_takes_that_of_adapt(data, write_plan, arm, methods):
    made = expand(read_plan(write_plan(f"[[arms]]\n{arm}\n")), data)
    assert [run.arm.method for run in made.runs] == methods


def test_the_default_method_is_that_of_adapt(data, write_plan, tmp_path):
    made = expand(read_plan(write_plan(BUNDLED)), data)
    model = adapt(read_dataset(data / "discs"), out=tmp_path / "m", encoder="bundled", patches=1, steps=1, batch=1)
    assert model.card.method.name == made.runs[0].arm.method


def test_a_finished_run_is_never_repeated(data, write_plan, tmp_path):
    out = tmp_path / "out"
    run_benchmark(write_plan(RANDOM), data=data, out=out)
    before = records(out)
    again = run_benchmark(write_plan(RANDOM, protocol="patches = [1, 2]\ndraws = 1"), data=data, out=out)
    assert (again["runs"], again["done"], again["reused"]) == (2, 2, 1)
    after = records(out)
    assert {key: after[key] for key in before} == before  # times and all
    moved = data.parent / "moved"
    shutil.move(data, moved)  # where data lie is not what a run is
    assert run_benchmark(write_plan(RANDOM), data=moved, out=out)["reused"] == 1
    found = plan_benchmark(write_plan(RANDOM, protocol="patches = [1, 3]\ndraws = 1"), data=moved, out=out)
    assert (found["done"], found["left"], found["estimate"]["unknown_runs"]) == (1, 1, 0)
    assert "finished runs" in found["estimate"]["how"][0]


def test_changed_data_are_new_runs(data, write_plan, tmp_path):
    out = tmp_path / "out"
    run_benchmark(write_plan(RANDOM), data=data, out=out)
    shutil.rmtree(data / "discs")
    write_discs(data / "discs", seed=100)
    again = run_benchmark(write_plan(RANDOM), data=data, out=out)
    assert (again["reused"], len(records(out))) == (0, 2)


def test_a_run_that_fails_stops_no_other(data, write_plan, tmp_path):
    """The second arm has a field that its method does not have."""
    bad = RANDOM.replace("set = {", 'set = { "method.rnak" = 3,')
    plan = write_plan(bad + RANDOM)
    made = run_benchmark(plan, data=data, out=tmp_path / "out")
    assert (made["runs"], made["done"]) == (2, 1)
    (failed,) = made["failed"]
    assert failed["error"].startswith("InputError: ")
    assert "rnak" in failed["error"]
    assert failed["arm"]["options"]["method.rnak"] == 3
    assert run_benchmark(plan, data=data, out=tmp_path / "out")["reused"] == 1
    stamps = {key: one["started"] for key, one in records(tmp_path / "out").items() if one["status"] == "failed"}
    assert len(stamps) == 1
    again = run_benchmark(plan, data=data, out=tmp_path / "out", retry_failed=True)
    assert (again["done"], len(again["failed"])) == (1, 1)


def test_models_come_first(data, write_plan, tmp_path):
    models = (
        f'[[models]]\nname = "first"\ndataset = "typed"\nencoder = "bundled"\nweights = "random"\npatches = 1\n{SMALL}'
    )
    arms = (
        '[[arms]]\nencoder = "bundled"\nmethod = "full"\nsource = "first"\npatches = [0, 1]\nsteps = 1\nbatch = 1\n'
        f'datasets = ["discs"]\n[[arms]]\nencoder = "model:first"\n{SMALL}'
    )
    sets = '[[datasets]]\nname = "discs"\n[[datasets]]\nname = "typed"\n'
    out = tmp_path / "out"
    made = run_benchmark(write_plan(arms, models=models, datasets=sets), data=data, out=out)
    assert (made["runs"], made["done"]) == (4, 4)
    (folder,) = (out / "models").iterdir()
    card = json.loads((folder / "model.json").read_text())
    assert card["data"][-1]["name"] == "typed"
    found = results(out)
    for one in found:
        if one["dataset"] == "typed":
            assert not set(card["data"][-1]["groups"]) & set(one["test_groups"])
        assert one["seen"] == ("no" if one["dataset"] == "typed" else "not listed")
        assert one["random_weights"] is True  # all came from the same random numbers, whatever was trained since
    sources = {(one["source"], one["encoder"], one["patches"]) for one in found}
    assert sources == {("first", "bundled", 0), ("first", "bundled", 1), ("none", "model:first", 1)}


def test_runs_of_a_model_that_failed_are_told(data, write_plan, tmp_path):
    models = (
        '[[models]]\nname = "first"\ndataset = "discs"\nencoder = "bundled"\nweights = "random"\npatches = 1\n'
        'set = { "method.rnak" = 3 }\n'
    )
    arms = f'[[arms]]\nencoder = "model:first"\n{SMALL}{RANDOM}'
    made = run_benchmark(write_plan(arms, models=models), data=data, out=tmp_path / "out")
    assert (made["runs"], made["done"]) == (2, 1)
    (failed,) = made["failed"]
    assert failed["error"].startswith("the model it starts from: InputError")


def test_a_killed_worker_costs_one_unit(data, write_plan, tmp_path):
    """The operating system kills a worker in the middle of a run; another one does it again."""
    out = tmp_path / "out"
    killed = []

    def kill() -> None:
        wait_for(lambda: any((out / "work").glob("*/run.json")), "a run to begin")
        children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
        killed.extend(int(child) for path in children for child in path.read_text().split())
        for child in killed:
            os.kill(child, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    made = run_benchmark(write_plan(RANDOM), data=data, out=out, cluster="processes:1")
    killer.join()
    assert len(killed) == 1
    assert (made["runs"], made["done"], made["failed"]) == (1, 1, [])
    assert not list((out / "work").iterdir())


def at_work(out):
    """The runs that are under way: name of their folder -> when it was begun."""
    begun = {}
    for path in (out / "work").glob("*/run.json"):
        with contextlib.suppress(FileNotFoundError):  # the run has just ended
            begun[path.parent.name] = json.loads(path.read_text())["started"]
    return begun


def dask_workers():
    """The worker processes that Dask has started from this one."""
    children = Path(f"/proc/{os.getpid()}/task").glob("*/children")
    found = [int(child) for path in children for child in path.read_text().split()]
    return [child for child in found if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


@pytest.fixture
def threads_of_a_worker():
    """This process computes with as many threads as one of two workers: results are equal to the last bit."""
    before = torch.get_num_threads()
    torch.set_num_threads(int(thread_counts(None, 2)["OMP_NUM_THREADS"]))
    yield
    torch.set_num_threads(before)


def plain(result):
    """A result without what depends on the machine's speed and memory."""
    cost = {key: result["cost"][key] for key in ("parameters", "trainable_parameters", "steps", "device")}
    return {**result, "cost": cost}


@pytest.mark.usefixtures("loopback", "threads_of_a_worker")
@pytest.mark.filterwarnings("ignore:Creating scratch directories", "ignore:Couldn't detect a suitable IP address")
def test_a_killed_dask_worker_costs_one_unit(data, write_plan, tmp_path, need):
    """The operating system kills one of two workers while both are in the middle of a run."""
    need("distributed")
    need("cryptography")
    out = tmp_path / "out"
    plan = write_plan(RANDOM, protocol="patches = [1]\ndraws = 3")
    begun_again = []

    def kill() -> None:
        while True:
            wait_for(lambda: len(at_work(out)) == 2, "two runs to be under way", 240)
            workers = dask_workers()
            for worker in workers:
                os.kill(worker, signal.SIGSTOP)
            before = at_work(out)
            if len(before) == len(workers) == 2:  # held in the middle of their runs
                os.kill(workers[0], signal.SIGKILL)
            for worker in workers[len(before) == 2 :]:
                os.kill(worker, signal.SIGCONT)
            if len(before) == 2:
                break

        def again() -> bool:
            now = at_work(out)
            begun_again.extend(name for name in before if now.get(name, before[name]) != before[name])
            return bool(begun_again)

        wait_for(again, "another worker to begin the run again")

    killer = threading.Thread(target=kill)
    killer.start()
    made = run_benchmark(plan, data=data, out=out, cluster="dask:2")
    killer.join()
    assert len(begun_again) == 1
    assert (made["runs"], made["done"], made["reused"], made["failed"]) == (3, 3, 0, [])
    assert not list((out / "work").iterdir())
    run_benchmark(plan, data=data, out=tmp_path / "serial")
    expected, found = records(tmp_path / "serial"), records(out)
    assert set(found) == set(expected)
    for key, one in found.items():
        assert plain(one["result"]) == plain(expected[key]["result"])


@pytest.mark.usefixtures("loopback", "slurm")
@pytest.mark.filterwarnings("ignore:Creating scratch directories", "ignore:Couldn't detect a suitable IP address")
def test_runs_are_jobs_of_a_cluster(data, write_plan, tmp_path, need):
    need("dask_jobqueue")
    cluster, out = tmp_path / "cluster.toml", tmp_path / "out"
    pool = '[[pools]]\nname = "test"\nmemory = "2 GB"\nwalltime = "00:10:00"\n'
    cluster.write_text(f'executor = "slurm"\ninterface = "lo"\npoll = 0.5\n{pool}')
    made = run_benchmark(write_plan(RANDOM), data=data, out=out, cluster=str(cluster))
    assert (made["runs"], made["done"], made["failed"]) == (1, 1, [])
    assert len(list((out / "logs").glob("test-*.out"))) == 1
    assert not list((out / "work").iterdir())
    assert run_benchmark(write_plan(RANDOM), data=data, out=out)["reused"] == 1


def test_results_of_another_version_are_refused(data, write_plan, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "benchmark.json").write_text('{"version": 0, "histoseed": "0.0.1"}')
    with pytest.raises(OutputError, match=r"version 0 \(histoseed 0.0.1\)"):
        run_benchmark(write_plan(RANDOM), data=data, out=out)
    (out / "benchmark.json").unlink()
    (out / "photo.png").write_text("")
    with pytest.raises(OutputError, match="no results of a benchmark"):
        run_benchmark(write_plan(RANDOM), data=data, out=out)
    assert [path.name for path in out.iterdir()] == ["photo.png"]


def test_the_cost_is_measured_where_nothing_ran(data, write_plan):
    plan = write_plan(RANDOM + BUNDLED)
    found = plan_benchmark(plan, data=data, measure_seconds=60)
    assert found["estimate"]["unknown_runs"] == 0
    assert all(row["seconds"] > 1 for row in found["arms"])
    nothing = plan_benchmark(plan, data=data, measure_seconds=0)
    assert nothing["estimate"]["unknown_runs"] == 2
    assert all(row["seconds"] is None for row in nothing["arms"])
