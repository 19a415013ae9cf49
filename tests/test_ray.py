"""The engine ``ray`` on a real cluster of three nodes on this machine, some of which die."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
from attrs import frozen
from click.testing import CliRunner

from vlmkit import Example, LabelSpace, Pipeline
from vlmkit.cli.main import cli
from vlmkit.engine import Solved
from vlmkit.errors import BackendError, DataError, UserError
from vlmkit.runs.record import Record
from vlmkit_glyphs.dataset import Glyphs
from vlmkit_ray.cluster import connected, loopback
from vlmkit_ray.engine import RayEngine
from vlmkit_strategies.flat import Flat

ODD = '''
"""A strategy that some examples are too much for."""

import os
import signal

from attrs import frozen

from vlmkit import Prediction
from vlmkit.errors import UserError


@frozen
class Odd:
    requires = frozenset()

    def solve(self, task):
        if task.id.startswith("deadly"):
            os.kill(os.getpid(), signal.SIGKILL)
        if task.id.startswith("wrong"):
            raise UserError("it is all wrong", hint="ask for something else")
        if task.id.startswith("broken"):
            raise ValueError("no picture like this one")
        yield []
        return Prediction(task.labels[0].name)
'''

# What Ray does in its own modules is not for this project to mend.
WARNINGS = "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning"


@frozen
class OnThisNodeAlone(Flat):
    """A strategy of a plugin that is not everywhere."""


def without_ray(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError) as raised:
        CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False)
    return str(raised.value)


def test_without_ray_one_line_says_what_to_install(tmp_path, monkeypatch):
    data = ["glyphs:labels=5,images=2", "--model", "scripted", "--output", str(tmp_path / "run"), "--quiet"]
    said = without_ray(["run", *data, "--engine", "ray"], monkeypatch)
    assert "engine ray needs Ray Data" in said and "pip install 'vlmkit[ray]'" in said


@pytest.mark.parametrize("option", ["workers=0", "gpus_per_worker=-1", "cpus_per_worker=0", "block=0", "attempts=0"])
def test_options_out_of_range_are_refused(option, tmp_path):
    with pytest.raises(UserError, match=f"engine ray:{option}"):
        CliRunner().invoke(cli, ["run", "--engine", f"ray:{option}"], catch_exceptions=False, standalone_mode=False)


def free_ports(count: int) -> list[int]:
    taken = [socket.socket() for _ in range(count)]
    for one in taken:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in taken]
    for one in taken:
        one.close()
    return ports


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Three nodes with one core each, all on 127.0.0.1; the workers find the module ``odd``."""
    from ray.cluster_utils import Cluster

    site = tmp_path_factory.mktemp("site")
    (site / "odd.py").write_text(ODD, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(site))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.syspath_prepend(site)
        with loopback():
            made = Cluster()
            for _ in range(3):
                # With ports that are known a node need not wait for its agents, which start slowly on a busy machine.
                agents = ("metrics_agent_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
                ports = dict(zip(agents, free_ports(3), strict=True))
                made.add_node(node_ip_address="127.0.0.1", include_dashboard=False, num_cpus=1, **ports)
            try:
                yield made
            finally:
                made.shutdown()


def judged(solved: Solved) -> tuple[object, ...]:
    record = Record.of(solved)
    return record.label, record.target, record.correct, record.trace, record.path, record.usage.queries, record.error


def workers() -> list[dict]:
    """Return what Ray knows of the living actors of the pool."""
    from ray._private import state

    actors = state.actors().values()
    return [one for one in actors if "Worker" in one["ActorClassName"] and one["State"] == "ALIVE"]


@pytest.mark.slow
@pytest.mark.filterwarnings(*WARNINGS)
def test_where_no_cluster_is_one_line_says_so_at_once():
    (port,) = free_ports(1)
    told = rf"no Ray cluster at 127.0.0.1:{port}; .*ConnectionRefusedError"
    with pytest.raises(UserError, match=told), connected(f"127.0.0.1:{port}"):
        pass


@pytest.mark.slow
@pytest.mark.filterwarnings(*WARNINGS)
def test_a_cluster_of_its_own_can_be_reached_from_this_machine_alone():
    with connected(None):
        import ray

        (node,) = ray.nodes()
        gcs = ray.get_runtime_context().gcs_address
        for port in (node["NodeManagerPort"], node["ObjectManagerPort"], int(gcs.rpartition(":")[2])):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            with pytest.raises(ConnectionRefusedError):  # whoever listens everywhere answers here too
                socket.create_connection(("127.0.0.2", port), timeout=5)


@pytest.mark.slow
@pytest.mark.filterwarnings(*WARNINGS)
class TestOnACluster:
    def test_a_run_goes_on_with_the_other_engine(self, cluster, tmp_path):
        def run(folder: str, *more: str) -> dict[str, dict]:
            fixed = ["--model", "scripted:accuracy=0.7", "--strategy", "dci:group_size=5", "--quiet", "--log-samples"]
            arguments = ["run", "glyphs:labels=30,images=90", *fixed, "--output", str(tmp_path / folder), *more]
            CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False)
            lines = (tmp_path / folder / "predictions.jsonl").read_text().splitlines()
            records = [json.loads(line) for line in lines]
            assert len(records) == len({record["id"] for record in records})
            for record in records:
                record["usage"].pop("seconds")
            return {record["id"]: record for record in records}

        ray = ["--engine", "ray:block=8", "--workers", "2", "--address", cluster.address]
        expected = run("local")
        assert len(run("mixed", *ray, "--limit", "40")) == 40
        assert run("mixed") == expected
        assert run("ray", *ray) == expected
        samples = {folder: (tmp_path / folder / "samples.jsonl").read_text() for folder in ("local", "ray")}
        assert sorted(samples["ray"].splitlines()) == sorted(samples["local"].splitlines())

    def test_what_one_example_does_costs_no_other(self, cluster):
        from odd import Odd

        examples = [Example(f"fine {index}", (b"",)) for index in range(20)]
        for index, name in ((3, "deadly"), (7, "broken")):
            examples[index] = Example(name, ())
        examples = [Example(one.id, (), target="a") for one in examples]
        engine = RayEngine(workers=2, block=5, attempts=2, address=cluster.address)
        with Pipeline("scripted", Odd()) as pipeline:
            solved = {one.example.id: one for one in engine.solve(pipeline, examples, LabelSpace(["a", "b"]))}
        assert set(solved) == {one.id for one in examples}
        assert {name: type(one.error) for name, one in solved.items() if one.error is not None} == {
            "deadly": BackendError,
            "broken": ValueError,
        }
        assert "lost 2 workers in a row" in str(solved["deadly"].error)

    def test_what_is_wrong_with_the_whole_request_ends_the_run(self, cluster):
        from odd import Odd

        engine = RayEngine(workers=1, address=cluster.address)
        with Pipeline("scripted", Odd()) as pipeline:
            solving: Iterator[Solved] = engine.solve(pipeline, [Example("wrong", ())], LabelSpace(["a"]))
            with pytest.raises(UserError, match="it is all wrong; ask for something else"):
                list(solving)

    def test_a_node_that_lacks_a_plugin_is_told_of(self, cluster, monkeypatch):
        monkeypatch.setattr(OnThisNodeAlone, "__module__", "here_alone")
        monkeypatch.setitem(sys.modules, "here_alone", sys.modules[__name__])
        engine = RayEngine(workers=1, address=cluster.address)
        with (
            Pipeline("scripted", OnThisNodeAlone()) as pipeline,
            pytest.raises(UserError, match="on every node") as told,
        ):
            list(engine.solve(pipeline, [Example("one", (b"",))], LabelSpace(["a"])))
        assert "a Ray worker cannot take the run over (ModuleNotFoundError: No module named 'here_alone')" in str(
            told.value
        )

    def test_data_that_breaks_costs_no_example_before_it(self, cluster):
        data, found = Glyphs(labels=12, images=12), []

        def cut() -> Iterator[Example]:
            yield from islice(data, 10)
            raise DataError("row 10 cannot be read")

        engine = RayEngine(workers=1, block=4, address=cluster.address)
        with Pipeline("scripted") as pipeline, pytest.raises(DataError, match="row 10"):
            found.extend(one.example.id for one in engine.solve(pipeline, cut(), data.labels))
        assert sorted(found) == [one.id for one in islice(data, 10)]

    def test_a_worker_that_fits_nowhere_is_refused(self, cluster):
        engine = RayEngine(gpus_per_worker=1, address=cluster.address)
        with (
            Pipeline("scripted") as pipeline,
            pytest.raises(UserError, match="no node of the Ray cluster has the 1 CPUs and 1 GPUs"),
        ):
            list(engine.solve(pipeline, [Example("a", (Path("a.png"),))], LabelSpace(["a"])))

    # Last: it leaves the cluster one node short.
    def test_an_actor_and_a_node_die_and_every_example_is_solved_once(self, cluster):
        data = Glyphs(labels=20, images=500)
        with Pipeline("tiny", "dci:group_size=10") as pipeline:
            expected = {solved.example.id: solved for solved in pipeline.solve(data, data.labels)}
            solving = RayEngine(workers=3, block=8, address=cluster.address).solve(pipeline, data, data.labels)
            solved = list(islice(solving, 60))
            head = cluster.head_node.node_id
            one, other = [each for each in workers() if each["Address"]["NodeID"] != head][:2]
            os.kill(one["Pid"], signal.SIGKILL)
            solved += islice(solving, 60)
            (node,) = [each for each in cluster.worker_nodes if each.node_id == other["Address"]["NodeID"]]
            cluster.remove_node(node, allow_graceful=False)
            solved += solving
        assert len(solved) == 500
        assert {one.example.id: judged(one) for one in solved} == {name: judged(one) for name, one in expected.items()}
        for one in solved:
            for (name, score), (known, true) in zip(
                one.prediction.ranking, expected[one.example.id].prediction.ranking, strict=True
            ):
                assert name == known and score == pytest.approx(true, abs=1e-4)
