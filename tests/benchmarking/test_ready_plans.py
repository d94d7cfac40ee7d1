"""A ready plan that needs data and weights of others: what it says without them, and what runs on stand-ins."""

import json

import pytest

from fixtures.conic import write_conic
from fixtures.cytodark0 import write_cytodark0
from fixtures.pannuke import write_pannuke
from histoseed.benchmarking import plan_benchmark, ready_plans, report_benchmark, run_benchmark
from histoseed.benchmarking.plan import read_plan
from histoseed.datasets import import_dataset
from histoseed.errors import InputError

SETS = {"pannuke": write_pannuke, "conic": write_conic, "cytodark0": write_cytodark0}


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """Data sets of these names, imported from files in the layout of the originals."""
    folder = tmp_path_factory.mktemp("stand-ins")
    for name, write in SETS.items():
        write(folder / "sources" / name)
        import_dataset(name, folder / "sources" / name, folder / "data" / name)
    return folder / "data"


@pytest.fixture(autouse=True)
def _empty_store(tmp_path, monkeypatch):
    monkeypatch.setenv("HISTOSEED_CACHE_DIR", str(tmp_path / "cache"))


def lacking(found, kind):
    return {one["name"]: one for one in found["lacking"] if one["kind"] == kind}


def test_what_is_not_here_is_told_once_each_with_how_to_get_it(tmp_path):
    found = plan_benchmark("mind_the_gap", data=tmp_path, measure_seconds=0)
    assert (found["runs"], found["arms"]) == (0, [])
    absent, weights = lacking(found, "data set"), lacking(found, "weights")
    assert set(absent) == set(SETS)
    named = [name for arm in read_plan("mind_the_gap").arms for name in arm.encoder if not arm.weights]
    assert set(weights) == set(named)
    assert {one["runs"] for one in weights.values()} == {9}  # three data sets, three seeds
    assert {one["runs"] for one in absent.values()} == {3 * (len(named) + 1)}
    assert absent["conic"]["why"].startswith("There is no data set 'conic' in ")
    assert absent["conic"]["get"].startswith(f"histoseed import conic SOURCE --out {tmp_path / 'conic'} ")
    assert "histoseed dataset list conic" in absent["conic"]["get"]
    assert weights["gpfm"]["get"] == "histoseed weights get gpfm"
    assert weights["uni"]["get"] == (
        "Accept the licence at https://huggingface.co/MahmoodLab/UNI, then: histoseed weights get uni"
    )
    assert sum(one["runs"] for one in found["missing"]) == 9 * (len(named) + 1)
    with pytest.raises(InputError, match=rf"run: 3 data sets and the weights of {len(named)} encoders are not here\."):
        run_benchmark("mind_the_gap", data=tmp_path, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_data_set_that_no_importer_knows(tmp_path):
    plan = tmp_path / "mine.toml"
    plan.write_text(
        'name = "mine"\n[protocol]\npatches = [1]\n[[datasets]]\nname = "mine"\n[[arms]]\nencoder = "uni"\n'
    )
    (one,) = lacking(plan_benchmark(plan, measure_seconds=0), "data set").values()
    assert one["get"] == f"Import it as {tmp_path / 'mine'}, or change the plan (docs/datasets.md)."
    with pytest.raises(InputError, match=r"1 data set and the weights of 1 encoder are not here\. .*by --data"):
        run_benchmark(plan, out=tmp_path / "out")


def test_nothing_is_to_be_put_beside_a_ready_plan():
    found = plan_benchmark("rapid_cytomine/jitter", preset="smoke", measure_seconds=0)
    (one,) = lacking(found, "data set").values()
    assert one["get"] == "Import it as DIR/nucls_sample (docs/datasets.md), then add --data DIR."


def test_what_is_here_runs_and_the_rest_is_missing_in_the_table(stand_ins, tmp_path):
    found = plan_benchmark("mind_the_gap", data=stand_ins, measure_seconds=0)
    assert not lacking(found, "data set")
    assert [(row["dataset"], row["runs"]) for row in found["arms"]] == [(name, 3) for name in SETS]  # random weights
    assert found["datasets"]["pannuke"]["split"] == "official fold 3 is scored"
    weights = lacking(found, "weights")
    # The same plan as a tiny one: the arm with random weights as one run of one step.
    text = ready_plans()["mind_the_gap"].read_text()
    rest, mark, last = text.rpartition("[[arms]]")
    assert 'weights = "random"' in last
    small = (
        '\nencoder = "bundled"\nweights = "random"\nmethod = "frozen"\ndatasets = ["cytodark0"]\nsteps = 1\nbatch = 1\n'
    )
    plan = tmp_path / "small.toml"
    plan.write_text(rest.replace("seeds = 3", "seeds = 1") + mark + small)
    made = run_benchmark(plan, data=stand_ins, out=tmp_path / "out")
    assert (made["runs"], made["done"], made["failed"]) == (1, 1, [])
    assert made["missing"] == 3 * len(weights)
    report = report_benchmark(plan, out=tmp_path / "out", page=tmp_path / "page")
    assert (report["runs"], report["failed"], report["missing"]) == (1, 0, 3 * len(weights))
    listed = json.loads((tmp_path / "page" / "report.json").read_text())["missing"]
    assert {one["arm"]["encoder"]: one["why"] for one in listed} == {name: one["why"] for name, one in weights.items()}
