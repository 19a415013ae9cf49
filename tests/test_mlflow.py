"""Runs in MLflow: real runs, into a real store of files."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest

pytest.importorskip("mlflow")
from mlflow import MlflowClient

from vlmkit_mlflow import log

DATA = "glyphs:labels=20,images=5"


@pytest.fixture
def store(tmp_path, monkeypatch) -> str:
    """A place for runs, which MLflow finds in the environment as a user sets it."""
    for name, value in {
        "MLFLOW_TRACKING_URI": (uri := (tmp_path / "store").as_uri()),
        "MLFLOW_ALLOW_FILE_STORE": "true",  # what mlflow-skinny has without a database
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }.items():
        monkeypatch.setenv(name, value)
    return uri


@pytest.fixture
def run(vlmkit_here):
    def call(*more: str):
        options = ("--model", "scripted:accuracy=0.8", "--strategy", "dci:group_size=5", "--output", "run", *more)
        return vlmkit_here("run", DATA, *options, "--json")

    return call


def logged(store: str, experiment: str = "vlmkit"):
    client = MlflowClient(store)
    found = client.get_experiment_by_name(experiment)
    return client, client.search_runs([found.experiment_id]) if found else []


def test_a_run_is_logged_with_parameters_figures_and_files(run, store, tmp_path, monkeypatch):
    monkeypatch.setattr(log, "EVERY", 2)
    results = json.loads(run().stdout)
    client, (found,) = logged(store)
    assert (found.info.run_name, found.info.status) == ("run", "FINISHED")
    params = found.data.params
    assert (params["strategy.group_size"], params["model.accuracy"], params["config.limit"]) == ("5", "0.8", "None")
    metrics = found.data.metrics
    for end in ("low", "high"):
        assert metrics[f"accuracy.{end}"] == results["metrics"]["accuracy"][end]
    assert metrics["accuracy"] == results["metrics"]["accuracy"]["value"]
    assert metrics["gold_survival.1"] == results["metrics"]["gold_survival"][0]["value"]
    assert (metrics["n.done"], metrics["usage.tokens.trunk"]) == (5, 0)
    assert [point.step for point in client.get_metric_history(found.info.run_id, "accuracy")] == [2, 4, 5]
    assert sorted(one.path for one in client.list_artifacts(found.info.run_id)) == ["manifest.json", "results.json"]
    kept = Path(client.download_artifacts(found.info.run_id, "results.json", str(tmp_path)))
    assert json.loads(kept.read_text())["metrics"] == results["metrics"]


def test_a_run_that_goes_on_stays_one_run(run, store, tmp_path):
    assert run("--limit", "2").returncode == 0
    client, (first,) = logged(store)
    assert run().returncode == 0
    _, (found,) = logged(store)
    assert found.info.run_id == first.info.run_id == json.loads((tmp_path / "run" / log.NOTE).read_text())["run_id"]
    assert (first.data.metrics["n.done"], found.data.metrics["n.done"]) == (2, 5)
    assert [point.step for point in client.get_metric_history(found.info.run_id, "accuracy")] == [2, 5]


def test_a_run_that_was_deleted_there_is_begun_anew(run, store):
    run("--limit", "2")
    client, (first,) = logged(store)
    client.delete_run(first.info.run_id)
    run("--in-flight", "1")
    _, (found,) = logged(store)
    assert found.info.run_id != first.info.run_id
    assert found.data.metrics["n.done"] == 5


def test_a_store_that_breaks_is_given_up_with_one_warning(run, store, tmp_path, monkeypatch):
    monkeypatch.setattr(log, "EVERY", 1)
    add = log.RunLog.add

    def break_then_add(self, record):
        if (tmp_path / "store").is_dir():
            (tmp_path / "store").rename(tmp_path / "gone")
        add(self, record)

    monkeypatch.setattr(log.RunLog, "add", break_then_add)
    done = run()
    assert done.returncode == 0
    assert json.loads(done.stdout)["n"]["done"] == 5
    warnings = [line for line in done.stderr.splitlines() if line.startswith("warning: plugin mlflow (vlmkit ")]
    assert len(warnings) == 1 and "vlmkit_prediction raised" in warnings[0] and "--no-plugin mlflow" in warnings[0]


def test_without_the_package_a_run_says_what_to_install(run, store, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    done = run()
    assert done.returncode == 0
    assert 'mlflow is not installed; pip install "vlmkit[mlflow]", or unset it' in done.stderr


def test_nothing_is_logged_unless_a_store_is_named(run, store, tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert run().returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir() if path.name in ("store", "mlruns")) == []
    assert not (tmp_path / "run" / log.NOTE).exists()


def test_an_interrupted_run_is_killed_there(run, store, monkeypatch):
    monkeypatch.setattr(log, "EVERY", 1)
    signals = iter([signal.SIGTERM])  # a second one would end this process, too
    monkeypatch.setattr(log.RunLog, "add", lambda self, record: [signal.raise_signal(one) for one in signals])
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    run("--in-flight", "1")
    _, (found,) = logged(store, "mine")
    assert found.info.status == "KILLED"


def test_a_run_that_leaves_examples_out_is_not_finished_there(vlmkit_here, store, tmp_path):
    (tmp_path / "listed.csv").write_text("image,label\nnone.png,cat\nnone2.png,dog\n")
    again = ("run", "listed.csv", "--model", "scripted", "--output", "run", "--fail-on-error", "100%")
    vlmkit_here(*again, "--limit", "1")
    done = vlmkit_here(*again, "--retry-failed", "--json")
    assert json.loads(done.stdout)["status"] == "unfinished" and "plugin mlflow" not in done.stderr
    _, (found,) = logged(store)
    assert (found.info.status, found.data.metrics["n.total"]) == ("KILLED", 2)
