"""What runs ahead of the model: reading, decoding and preparing, on other threads, in order and within bounds."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import ClassVar

import PIL.Image
import pytest
from attrs import define, field
from hypothesis import given, settings
from hypothesis import strategies as st

from vlmkit import Capability, Engine, Example, LabelSpace
from vlmkit.engine import feed
from vlmkit.engine.feed import Feed
from vlmkit.engine.models import build_backend
from vlmkit.errors import DataError, ImageError
from vlmkit.registry import Builder, PluginHost
from vlmkit.testing.models import shared_checkpoint
from vlmkit_adapters.scripted import ScriptedBackend
from vlmkit_strategies.dci import DCI
from vlmkit_strategies.flat import Flat

LABELS = LabelSpace([f"label {index}" for index in range(12)])


def example(index: int) -> Example:
    return Example(f"{index:03}", (PIL.Image.new("RGB", (40, 30), (index, 0, 7)),))


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("vlmkit-")]


@define
class Ready:
    """A backend that notes which images it was told to prepare, and which of them before it was asked."""

    prepared: list[str] = field(factory=list)
    asked: set[str] = field(factory=set)
    late: set[str] = field(factory=set)
    on: set[str] = field(factory=set)
    capabilities: frozenset[Capability] = frozenset(Capability)
    identity: ClassVar = {"model": "ready"}

    def prepare(self, images):
        self.on.add(threading.current_thread().name)
        self.prepared += [image.digest for image in images]

    def answer(self, queries):
        digests = {image.digest for query in queries for image in query.images}
        self.late |= digests.difference(self.prepared)
        self.asked |= digests
        return ScriptedBackend().answer(queries)

    def close(self):
        pass


@settings(max_examples=30)
@given(st.integers(0, 20), st.integers(1, 6), st.sets(st.integers(0, 20)))
def test_order_is_kept_and_what_cannot_be_opened_fails_at_its_place(count, ahead, broken):
    def opened(one: Example) -> str:
        if int(one.id) in broken:
            raise ImageError(one.id, "it is broken")
        return one.id

    with Feed((Example(str(index), ()) for index in range(count)), opened, ahead) as fed:
        found = [(one.id, future.exception() is None and future.result()) for one, future in fed]
    assert found == [(str(index), index not in broken and str(index)) for index in range(count)]


@pytest.mark.parametrize("in_flight", [1, 4])
def test_no_more_is_read_ahead_than_is_in_flight(in_flight):
    read: list[int] = []

    def reading() -> Iterator[Example]:
        for index in range(40):
            read.append(index)
            yield example(index)

    for done, _ in enumerate(Engine(Flat(), ScriptedBackend(), in_flight=in_flight).solve(reading(), LABELS)):
        # Those that are done and wait to be yielded, those in flight, as many ahead, and the one that is being read.
        assert len(read) <= done + 3 * in_flight + 1
    assert read == list(range(40))


def test_every_image_is_prepared_on_another_thread_before_it_is_asked_about():
    backend = Ready()
    list(Engine(DCI(group_size=4), backend, in_flight=3).solve(map(example, range(10)), LABELS))
    assert backend.asked == set(backend.prepared) and len(backend.prepared) == 10
    assert backend.late == set() and all(name.startswith("vlmkit-opener") for name in backend.on)


def test_no_thread_is_left_behind():
    solving = Engine(Flat(), ScriptedBackend(), in_flight=2).solve(map(example, range(30)), LABELS)
    next(solving)
    assert threads()
    solving.close()
    assert threads() == []
    list(Engine(Flat(), ScriptedBackend()).solve(map(example, range(3)), LABELS))
    assert threads() == []


def test_interrupt_leaves_no_thread_behind():
    class Interrupted(Ready):
        def answer(self, queries):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(Engine(Flat(), Interrupted()).solve(map(example, range(3)), LABELS))
    assert threads() == []


def test_a_source_that_waits_holds_up_no_interrupt(monkeypatch):
    monkeypatch.setattr(feed, "PATIENCE", 0.01)
    waits = threading.Event()

    def reading() -> Iterator[Example]:
        yield example(0)
        waits.wait()

    with Feed(reading(), lambda one: one.id, ahead=2) as waiting:
        assert next(iter(waiting))[1].result() == "000"
    (reader,) = (thread for thread in threading.enumerate() if thread.name == "vlmkit-reader")
    waits.set()
    reader.join(60)
    assert threads() == []


def test_one_open_picture_may_be_that_of_many_examples():
    file = io.BytesIO()
    PIL.Image.effect_noise((300, 300), 80).save(file, "JPEG")
    lazy = PIL.Image.open(file)
    solved = list(
        Engine(Flat(), ScriptedBackend(), in_flight=8).solve([Example(str(i), (lazy,)) for i in range(24)], LABELS)
    )
    assert [one.error for one in solved] == [None] * 24


def test_data_that_cannot_be_read_end_the_run_where_they_are():
    def reading() -> Iterator[Example]:
        yield from map(example, range(6))
        raise DataError("the seventh row is torn")

    solving = Engine(Flat(), ScriptedBackend(), in_flight=1).solve(reading(), LABELS)
    assert [next(solving).example.id for _ in range(5)] == [f"{index:03}" for index in range(5)]
    with pytest.raises(DataError, match="seventh"):
        next(solving)


def test_the_model_s_thread_prepares_no_picture_of_a_loaded_model():
    backend = build_backend(str(shared_checkpoint("qwen3_vl")), Builder(PluginHost.load().registry))
    load, prepared = backend.load, []

    def watched():
        family = load()
        picture = family.picture

        def noted(image, alone):
            prepared.append((image.digest, threading.current_thread() is threading.main_thread()))
            return picture(image, alone)

        family.picture = noted
        return family

    backend.load = watched
    engine = Engine(DCI(group_size=4), backend, in_flight=2)
    first = list(engine.solve([example(100)], LABELS))
    prepared.clear()
    several = list(engine.solve(map(example, range(8)), LABELS))
    assert all(one.error is None for one in (*first, *several))
    assert len(prepared) == len({digest for digest, _ in prepared}) == 8
    assert not any(on_main for _, on_main in prepared)
