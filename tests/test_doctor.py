"""``vlmkit doctor``: what is missing, with the command that mends it, and whether a model answers."""

from __future__ import annotations

import json

import pytest

from vlmkit.registry import PluginHost
from vlmkit.registry.needs import needs
from vlmkit.testing.server import FakeServer, Said, answered_by, by_word
from vlmkit_adapters.scripted import ScriptedBackend

ADAPTER = """
from vlmkit import hookimpl

@hookimpl
def vlmkit_register(registry):
    registry.adapter("{0}", "vlmkit_adapters.scripted:ScriptedBackend", summary="Fine", {1})
"""


@pytest.fixture
def doctor(vlmkit_here):
    """Run ``vlmkit doctor``; return the exit code and the checks by name."""

    def call(model="scripted"):
        ended = vlmkit_here("doctor", "--model", model, "--json")
        return ended.returncode, {check["name"]: check for check in json.loads(ended.stdout)}

    return call


@pytest.fixture
def install_adapter(install_plugin):
    """Install a distribution with one adapter: ``install_adapter(name, arguments, *lines of its metadata)``."""

    def install(name, arguments="", *metadata):
        site = install_plugin(name, ADAPTER.format(name, arguments))
        with (site / f"{name}_dist-1.0.dist-info" / "METADATA").open("a") as file:
            file.writelines(f"{line}\n" for line in metadata)

    return install


def test_sound_installation_is_fine(doctor):
    code, checks = doctor()
    assert code == 0
    assert {"python", "vlmkit", "torch", "torchvision", "devices", "adapter qwen", "adapter tiny"} <= checks.keys()
    assert all(check["state"] == "ok" for check in checks.values())


def test_package_that_a_plugin_needs_is_named_with_the_command(doctor, install_adapter):
    install_adapter("hungry", "", "Requires-Dist: no-such-package>=2", "Requires-Dist: attrs>=20")
    code, checks = doctor()
    assert code == 1
    hungry = checks["adapter hungry"]
    assert (hungry["state"], hungry["mend"]) == ("broken", 'pip install "no-such-package>=2"')
    assert hungry["found"] == "needs no-such-package>=2 (not installed)"


def test_package_that_is_too_old_is_named_with_its_version(doctor, install_adapter):
    install_adapter("modern", "", "Requires-Dist: attrs>=9999")
    _, checks = doctor()
    assert "attrs>=9999 (2" in checks["adapter modern"]["found"]


def test_extra_that_is_not_installed_is_missing_and_breaks_nothing(doctor, install_adapter):
    install_adapter(
        "rich_one", "extra='more'", "Provides-Extra: more", 'Requires-Dist: no-such-package; extra == "more"'
    )
    code, checks = doctor()
    assert code == 0
    assert checks["adapter rich_one"]["state"] == "missing"
    assert checks["adapter rich_one"]["mend"] == 'pip install "rich_one-dist[more]"'


def test_family_that_transformers_does_not_know_yet_is_missing(doctor, install_adapter):
    install_adapter("future", "model_types=('qwen3_vl', 'qwen99_vl'), branching='token-tree'")
    code, checks = doctor()
    assert code == 0
    assert checks["adapter future"]["found"].endswith("does not know qwen99_vl")
    assert checks["adapter future"]["mend"] == "pip install --upgrade transformers"


def test_adapter_for_servers_needs_its_extra():
    entry = PluginHost.load().registry.get("adapter", "openai")
    assert [need.name for need in needs("vlmkit", entry.extra)] == ["openai"]
    assert "openai" not in [need.name for need in needs("vlmkit")]


@pytest.fixture
def address():
    return lambda server, **more: ",".join(
        [f"openai:model=fake,base_url={server.base_url}", *(f"{key}={value}" for key, value in more.items())]
    )


def test_server_tells_its_models_and_readouts(doctor, address):
    with FakeServer(answered_by(ScriptedBackend(accuracy=1.0)), logprobs=False) as server:
        code, checks = doctor(address(server))
    assert code == 0
    assert server.base_url in checks["model"]["found"] and checks["models served"]["found"] == "fake"
    assert checks["readout text"]["state"] == "ok"
    assert (checks["readout letter"]["state"], checks["readout letter"]["mend"]) == ("missing", "use readout=text")
    assert checks["readout likelihood"]["state"] == "missing"


@pytest.mark.parametrize(("tokenizer", "said"), [(by_word, "yes"), (None, "no")])
def test_server_tells_whether_it_knows_named_tokens(doctor, address, tokenizer, said):
    with FakeServer(answered_by(ScriptedBackend(accuracy=1.0)), tokenizer=tokenizer) as server:
        code, checks = doctor(address(server))
    assert code == 0 and f"logprobs=yes, token_ids={said}, choices=none" in checks["model"]["found"]
    assert checks["readout letter"]["state"] == "ok"


def test_name_that_the_server_does_not_know_is_broken_beside_those_it_knows(doctor, address):
    with FakeServer(lambda asked: Said(""), model="other") as server:
        code, checks = doctor(address(server))
    assert code == 1 and "404" in checks["model"]["found"] and checks["models served"]["found"] == "other"


def test_server_that_is_not_there_is_broken(doctor, address):
    with FakeServer(lambda asked: Said("")) as server:
        pass
    code, checks = doctor(address(server, max_retries=0))
    assert code == 1 and checks["model"]["state"] == "broken" and "readout text" not in checks


def test_model_that_does_not_exist_is_broken(doctor):
    code, checks = doctor("no/such/directory")
    assert code == 1 and checks["model"]["state"] == "broken" and checks["model"]["mend"]
