"""``histoseed benchmark``: from a plan to a page."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.disc_sets import SMALL, write_discs
from fixtures.executor_processes import wait_for

ARM = f'[[arms]]\nencoder = "bundled"\nweights = "random"\nmethod = "full"\n{SMALL}'


@pytest.fixture
def plan(tmp_path):
    write_discs(tmp_path / "data" / "discs")
    path = tmp_path / "tiny.toml"
    gated = '[[arms]]\nencoder = "uni"\n'
    path.write_text(
        'name = "tiny"\n[protocol]\npatches = [0, 1]\ndraws = 1\nresamples = 20\n[[datasets]]\nname = "discs"\n'
        f'[[arms]]\nencoder = "bundled"\nsource = "bundled"\npatches = [0]\n{ARM}patches = [1]\n{gated}'
    )
    return path


def test_from_a_plan_to_a_page(plan, tmp_path, run):
    data, out = tmp_path / "data", tmp_path / "out"
    shown = run("benchmark", "plan", plan, "--data", data, "--measure", 0, "--json", tmp_path / "plan.json")
    assert shown.exit_code == 0, shown.output
    assert "2: 0 done, 0 failed, 2 left" in shown.stdout
    assert "Accept the licence at https://" in shown.stdout
    found = json.loads((tmp_path / "plan.json").read_text())
    assert (found["command"], found["runs"], len(found["missing"])) == ("benchmark plan", 2, 1)
    assert found["missing"][0]["runs"] == 2
    assert not out.exists()

    made = run("benchmark", "run", plan, "--data", data, "--out", out, "--json", tmp_path / "run.json")
    assert made.exit_code == 0, made.output
    assert "2/2 runs" in made.stderr
    assert json.loads((tmp_path / "run.json").read_text())["done"] == 2
    again = run("benchmark", "run", plan, "--data", data, "--out", out)
    assert "2 of 2 done, 2 of them before" in again.stdout

    page = run("benchmark", "report", plan, "--out", out, "--page", tmp_path / "page", "--json", tmp_path / "page.json")
    assert page.exit_code == 0, page.output
    assert json.loads((tmp_path / "page.json").read_text())["runs"] == 2
    assert "random weights" in (tmp_path / "page" / "index.html").read_text()
    assert run("benchmark", "report", plan, "--out", out, "--page", tmp_path / "page").exit_code == 2


def test_a_plan_without_data_says_what_to_name(plan, tmp_path, run):
    elsewhere = plan.rename(tmp_path / "data" / "discs" / "tiny.toml")
    told = run("benchmark", "plan", elsewhere, "--measure", 0)
    assert told.exit_code == 2
    assert "Name the folder of the data sets by --data DIR: discs is not beside the plan." in told.stderr
    assert "how" in told.stdout
    assert "No run of the plan can be made." in told.stdout
    assert "1 runs" not in told.output
    found = run("benchmark", "plan", elsewhere, "--data", tmp_path / "data", "--measure", 0)
    assert found.exit_code == 0
    assert "--data DIR" not in found.stderr


def test_bad_input_is_told(plan, tmp_path, run):
    plan.write_text(plan.read_text().replace("draws", "drawz").replace("name =", 'titel = "x"\nname =', 1))
    for verb in ("plan", "run", "report"):
        told = run("benchmark", verb, plan, "--out", tmp_path / "out")
        assert told.exit_code == 2
        assert "line 1: There is no key" in told.stderr
        assert "Did you mean title?" in told.stderr
        assert "Did you mean draws?" in told.stderr
    assert not (tmp_path / "out").exists()


def test_a_report_needs_a_run(plan, tmp_path, run):
    told = run("benchmark", "report", plan, "--out", tmp_path / "out")
    assert told.exit_code == 2
    assert "was not run into this folder" in told.stderr


def test_a_failed_run_is_told_by_the_exit_code(plan, tmp_path, run):
    text = plan.read_text().replace('"decoder.image_widths"', '"method.rnak" = 1, "decoder.image_widths"')
    plan.write_text(text)
    made = run("benchmark", "run", plan, "--data", tmp_path / "data", "--out", tmp_path / "out")
    assert made.exit_code == 2
    assert "rnak" in made.stderr
    assert "1 of 2 done" in made.stdout


def test_an_interruption_exits_with_130_and_goes_on(plan, tmp_path, run):
    out = tmp_path / "out"
    plan.write_text(plan.read_text().replace("steps = 1", "steps = 2000"))
    program = Path(sys.executable).with_name("histoseed")
    command = [program, "benchmark", "run", plan, "--data", tmp_path / "data", "--out", out]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: process.poll() is not None or any((out / "work").glob("*/run.json")), "the run to begin")
    os.kill(process.pid, signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command again" in told
    assert len(list((out / "units").glob("*.json"))) == 1  # what was done is kept
    plan.write_text(plan.read_text().replace("steps = 2000", "steps = 1"))
    again = run("benchmark", "run", plan, "--data", tmp_path / "data", "--out", out)
    assert "2 of 2 done, 1 of them before" in again.stdout
