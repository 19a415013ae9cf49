"""Everything registered keeps its contract, by the suites of ``vlmkit.testing``."""

from __future__ import annotations

import subprocess
import sys

import pytest

from vlmkit.engine.models import build_backend
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing import check_aggregator, check_backend, check_strategy
from vlmkit.testing.models import RECIPES, shared_checkpoint

BUILDER = Builder(PluginHost.load().registry)


def registered(kind: str) -> list:
    return list(BUILDER.registry.entries(kind))


def by_itself(entry) -> bool:
    """Return whether it can be built without options; what cannot is held to its contract in a file of its own."""
    return all(option.default is not option.empty for option in BUILDER.options(entry).values())


STRATEGIES = [entry for entry in registered("strategy") if by_itself(entry)]
SINGLE = [entry.name for entry in STRATEGIES if not entry.wraps]
WRAPPED = [f"{entry.name}+{inner}" for entry in STRATEGIES if entry.wraps for inner in SINGLE]
VARIED = [
    "dci:policy=paper,group_size=3",
    "dci:policy=june-2026,group_size=3",
    "flat:readout=letter",
    "flat:readout=text,allow_none=true",
    "vote:aggregator=winners+dci:policy=paper,group_size=4",
    "tree:descend=beam,beam=3,stop_below=0.4",
    "tree:descend=full,stop_below=0.3+flat:allow_none=true",
    "tree:descend=bottom-up+dci:policy=june-2026,group_size=3",
    "tree:descend=leaf-conditioned+flat:readout=text,allow_none=true",
    "tree:descend=flat-by-level+dci:policy=paper,group_size=3",
    "vote+tree",
]


@pytest.mark.parametrize("spec", [*SINGLE, *WRAPPED, *VARIED])
def test_registered_strategies_keep_the_contract(spec):
    check_strategy(BUILDER.strategy(spec), free_questions=True, taxonomy="tree" in spec)


@pytest.mark.parametrize("entry", registered("aggregator"), ids=lambda entry: entry.name)
def test_registered_aggregators_keep_the_contract(entry):
    check_aggregator(BUILDER.aggregator(entry.name))


@pytest.mark.parametrize("spec", ["scripted", "scripted:none_rate=0.5,invalid_rate=0.5,order_bias=2"])
def test_the_fake_keeps_the_contract(spec):
    check_backend(build_backend(spec, BUILDER))


@pytest.mark.parametrize("model_type", sorted(RECIPES))
def test_adapters_keep_the_contract_on_small_models(model_type):
    check_backend(build_backend(str(shared_checkpoint(model_type)), BUILDER, device="cpu", dtype="float32"))


def test_the_embedded_model_keeps_the_contract():
    check_backend(build_backend("tiny", BUILDER, device="cpu", dtype="float32"))


def test_suites_need_neither_a_test_framework_nor_torch():
    code = "import sys, vlmkit.testing; print({'pytest', 'hypothesis', 'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
