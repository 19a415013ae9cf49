"""Specs, and the objects built from them."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Literal

import attrs
import pytest
from attrs.validators import ge
from hypothesis import given
from hypothesis import strategies as st

from vlmkit import Aggregator, Letter, Likelihood, Readout, Registry, Reply
from vlmkit.errors import SpecError, UnknownNameError
from vlmkit.registry import Builder, Chain, PluginHost, Spec
from vlmkit_strategies.aggregators import Borda, TopK, Winners
from vlmkit_strategies.dci import DCI
from vlmkit_strategies.flat import Flat
from vlmkit_strategies.vote import Vote


@pytest.fixture(scope="module")
def registry() -> Registry:
    host = PluginHost.load()
    assert host.failures == ()
    return host.registry


@pytest.fixture(scope="module")
def builder(registry: Registry) -> Builder:
    return Builder(registry)


# Specs

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_.\-]{0,8}", fullmatch=True)
KEYS = st.from_regex(r"[A-Za-z][A-Za-z0-9_]{0,8}", fullmatch=True)
VALUES = st.text(st.sampled_from('ab0:=,+" \t./é\n') | st.characters(), max_size=8)
SPECS = st.builds(Spec, NAMES, st.dictionaries(KEYS, VALUES, max_size=4))


@given(spec=SPECS)
def test_a_spec_reads_back_from_its_text(spec: Spec) -> None:
    assert Spec.parse(str(spec)) == spec


@given(chain=st.lists(SPECS, min_size=1, max_size=4).map(Chain))
def test_a_chain_reads_back_from_its_text(chain: Chain) -> None:
    assert Chain.parse(str(chain)) == chain


@given(chains=st.lists(st.lists(SPECS, min_size=1, max_size=3).map(Chain), min_size=1, max_size=4))
def test_several_chains_read_back_from_their_text(chains: list[Chain]) -> None:
    assert Chain.parse_several(",".join(map(str, chains))) == tuple(chains)


@given(text=st.text(st.sampled_from('ab:=,+" -_1'), max_size=20))
def test_any_text_is_a_chain_or_a_spec_error(text: str) -> None:
    try:
        chain = Chain.parse(text)
    except SpecError as error:
        assert error.hint
    else:
        assert Chain.parse(str(chain)) == chain


def test_dashes_and_underscores_are_one() -> None:
    assert Spec.parse("dci:group-size=20") == Spec.parse("dci:group_size=20") == Spec("dci", {"group_size": "20"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a name at character 1, found the end"),
        ("dci:", "expected key=value at character 5, found the end"),
        ("dci:20", "expected key=value at character 5, found '20'"),
        ("dci:a=1;b=2 +", "expected a name at character 14, found the end"),
        ('dci:a="1"x', "expected ',' or '+' or the end at character 10, found 'x'"),
        ('dci:a="1', "expected ',' or '+' or the end"),
        ("dci:a=1,a=2", "gives a twice"),
        ("flat,dci", "expected '+' or the end at character 5, found ',dci'"),
        ("dci:a=1,flat", "expected key=value at character 9, found 'flat'"),
    ],
)
def test_a_broken_spec_is_pointed_at(text: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        Chain.parse(text)
    assert message in caught.value.message


def test_one_spec_is_not_a_chain() -> None:
    with pytest.raises(SpecError, match="joins several"):
        Spec.parse("topk+winners")


# Building


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


def _not_silent(_: object, __: object, word: str) -> None:
    if word == "silent":
        raise ValueError


@attrs.frozen
class Everything:
    needed: int
    number: float = 0.0
    switch: bool = False
    word: str = attrs.field(default="", validator=_not_silent)
    file: Path | None = None
    choice: Literal["one", "two"] = "one"
    colour: Colour = Colour.RED
    sizes: tuple[int, ...] = ()
    limit: int | None = attrs.field(default=None, validator=attrs.validators.optional(ge(1)))
    mixed: int | str = 0
    readout: Readout | None = None
    aggregator: Aggregator | None = None


@pytest.fixture
def everything(registry: Registry) -> Builder:
    own = Registry("test")
    for entry in registry.entries("aggregator"):
        own.add(entry)
    own.strategy("everything", f"{__name__}:Everything", summary="One option of each type")
    return Builder(own)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("number=1e-3", {"number": 0.001}),
        ("switch=Yes", {"switch": True}),
        ("switch=off", {"switch": False}),
        ('word="a, b + c"', {"word": "a, b + c"}),
        ("file=data/x.npz", {"file": Path("data/x.npz")}),
        ("file=none", {"file": None}),
        ("choice=two", {"choice": "two"}),
        ("colour=blue", {"colour": Colour.BLUE}),
        ('sizes="1, 2,3"', {"sizes": (1, 2, 3)}),
        ("limit=3", {"limit": 3}),
        ("limit=none", {"limit": None}),
        ("mixed=7", {"mixed": 7}),
        ("mixed=seven", {"mixed": "seven"}),
        ("readout=letter", {"readout": Letter()}),
        ('readout="likelihood:normalise=mean,end=never"', {"readout": Likelihood(normalise="mean", end="never")}),
        ("readout=text:max-tokens=8", {"readout": Reply(max_tokens=8)}),
        ("aggregator=topk:k=3", {"aggregator": TopK(k=3)}),
    ],
)
def test_values_are_converted_by_annotation(everything: Builder, option: str, value: dict) -> None:
    assert everything.strategy(f"everything:needed=1,{option}") == Everything(1, **value)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("everything", "strategy everything needs needed; write everything:needed=..."),
        ("everything:needed=x", "strategy everything: needed=x is no good; expected a whole number"),
        ("everything:needed=1,number=x", "number=x is no good; expected a number"),
        ("everything:needed=1,switch=maybe", "switch=maybe is no good; expected true or false"),
        ("everything:needed=1,choice=three", "choice=three is no good; expected one of one, two"),
        ("everything:needed=1,colour=green", "colour=green is no good; expected one of red, blue"),
        ("everything:needed=1,limit=many", "limit=many is no good; expected a whole number"),
        ("everything:needed=1,limit=0", "'limit' must be >= 1: 0"),
        ("everything:needed=1,word=silent", "word=silent: ValueError; give another value"),
        ("everything:needed=1,numbr=2", "unknown option 'numbr' in strategy everything; did you mean number"),
        ("everything:needed=1,readout=likelyhood", "unknown readout 'likelyhood'; did you mean likelihood?"),
        ("everything:needed=1,aggregator=topp", "unknown aggregator 'topp'; did you mean topk"),
        ("everything:needed=1,aggregator=topk:k=x", "aggregator topk: k=x is no good; expected a whole number"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(everything: Builder, spec: str, message: str) -> None:
    with pytest.raises((SpecError, UnknownNameError)) as caught:
        everything.strategy(spec)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_built_in_strategies_are_built_from_specs(builder: Builder) -> None:
    assert builder.strategy("flat") == Flat()
    assert builder.strategy("flat:readout=letter,allow-none=true") == Flat(readout=Letter(), allow_none=True)
    assert builder.strategy("dci:policy=paper,group_size=10") == DCI(policy="paper", group_size=10)
    assert builder.strategy("dci:policy=june-2026,grouping=random,final_invalid=null") == DCI(
        policy="june-2026", grouping="random", final_invalid="null"
    )
    assert builder.strategy("dci:aggregator=topk:k=3") == DCI(aggregator=TopK(k=3))
    ready = DCI()
    assert builder.strategy(ready) is ready


def test_every_built_in_strategy_and_aggregator_can_be_imported_and_described(registry: Registry, builder) -> None:
    for kind in ("strategy", "aggregator"):
        for entry in registry.entries(kind):
            assert "inner" not in builder.options(entry)
    assert builder.options(registry.get("strategy", "dci")).keys() >= {"group_size", "policy", "final_allow_none"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("dcl", "unknown strategy 'dcl'; did you mean dci?"),
        ("dci:groupsize=10", "unknown option 'groupsize' in strategy dci; did you mean group-size or grouping?"),
        ("dci:policy=papers", "policy=papers is no good; expected one of scored, paper, june-2026"),
        ("dci:group_size=1", "'group_size' must be >= 2: 1"),
        ("dci:aggregator=borda", "keeps 20 of 20 labels; use winners"),
        ("dci:grouping=most-similar", "needs similarity"),
        ("vote:inner=flat", "unknown option 'inner' in strategy vote"),
        ("dci+flat", "strategy 'dci' in 'dci+flat' wraps nothing; only these can stand left of '+': "),
    ],
)
def test_mistakes_in_strategies_are_explained(builder: Builder, spec: str, message: str) -> None:
    with pytest.raises((SpecError, UnknownNameError)) as caught:
        builder.strategy(spec)
    assert message in str(caught.value)


def test_wrappers_wrap_what_stands_right_of_them(builder: Builder) -> None:
    assert builder.strategy("vote") == Vote(Flat())
    assert builder.strategy("vote:permutations=3+dci:group_size=5") == Vote(DCI(group_size=5), permutations=3)
    assert builder.strategy("vote:aggregator=winners+vote:permutations=2") == Vote(
        Vote(Flat(), permutations=2), aggregator=Winners()
    )
    assert builder.aggregator("borda") == Borda()


def test_an_adapter_takes_ready_values_beside_its_options(registry: Registry, builder: Builder) -> None:
    entry = registry.get("adapter", "scripted")
    backend = builder.entry(entry, Spec.parse("scripted:accuracy=0.5"), seed=3, device=None)
    assert (backend.accuracy, backend.seed) == (0.5, 3)
    with pytest.raises(SpecError, match="adapter scripted has no option dtype; leave dtype out"):
        builder.entry(entry, Spec("scripted"), dtype="float16")
    with pytest.raises(SpecError, match="'accuracy' must be <= 1"):
        builder.entry(entry, Spec.parse("scripted:accuracy=2"))


def test_a_strategy_that_is_a_class_is_refused(builder: Builder) -> None:
    with pytest.raises(SpecError, match=r"strategy DCI is a class; give an instance: DCI\(\.\.\.\)"):
        builder.strategy(DCI)  # type: ignore[arg-type]
