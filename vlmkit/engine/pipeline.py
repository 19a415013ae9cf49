"""A model and a strategy, ready for pictures: the Python counterpart of ``vlmkit run``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, Unpack, cast

from attrs import evolve

from vlmkit.cache import AnswerStore, cached
from vlmkit.contracts import Backend, Calibrates, Strategy
from vlmkit.data.labels import read_labels
from vlmkit.data.opening import Opener
from vlmkit.engine.engine import Engine, check_capabilities
from vlmkit.engine.job import Solved
from vlmkit.engine.models import Loading, build_backend
from vlmkit.errors import LabelError, SpecError
from vlmkit.prompts import Prompt, default_prompt, named_prompt
from vlmkit.registry import Builder, PluginHost
from vlmkit.types import Example, ImageSource, ImageUrl, Label, LabelSpace, Prediction, Taxonomy

OneImage = str | ImageSource | BinaryIO
"""One picture: a path, an address, encoded bytes, an open file of them, an open PIL picture."""

Images = OneImage | Iterable[OneImage]
"""One picture, or any number of them."""

Labels = str | Path | LabelSpace | Iterable[Label | str]
"""Label names, a label space, or the path of a label file."""

_OPENER = Opener()


class Pipeline:
    """A strategy on a model.

    Weights load at the first question. Close it, or use it in a ``with`` statement, to release the model. It pickles as
    what it was made from, and with what calibration found: the process that unpickles it makes its own.

    Args:
        model: An adapter's spec (``tiny``), a checkpoint directory, a hub id, or a backend, which stays its owner's
            to close.
        strategy: A strategy, or its spec.
        seed: Seed of every random choice.
        prompt: The words of the questions: a prompt, the name of a built-in one, or a file.
        in_flight: Most examples worked on at once.
        keep_exchanges: Whether ``Solved.exchanges`` holds every query and answer.
        cache: File of answers, made where there is none; what is in it is not asked again. Or such a file that is
            open, which stays its opener's to close.
        opener: Opens the pictures: how large they may be, and whether addresses are fetched.
        plugins: Where names are looked up; by default all installed plugins.
        **loading: How the model is loaded: ``device``, ``dtype``, ``revision``, ``trust_remote_code``, ``lora``.

    Raises:
        UserError: A name, an option or the model is wrong, or the model lacks what the strategy needs; or a backend is
            told how to load.
    """

    def __init__(
        self,
        model: str | Path | Backend = "tiny",
        strategy: str | Strategy = "dci:group_size=20",
        *,
        seed: int = 0,
        prompt: str | Path | Prompt | None = None,
        in_flight: int = 32,
        keep_exchanges: bool = False,
        cache: str | Path | AnswerStore | None = None,
        opener: Opener = _OPENER,
        plugins: PluginHost | None = None,
        **loading: Unpack[Loading],
    ) -> None:
        plugins = plugins or _installed()
        builder = Builder(plugins.registry)
        self.seed = seed
        self.prompt = named_prompt(str(prompt)) if isinstance(prompt, str | Path) else prompt or default_prompt()
        self.strategy = builder.strategy(strategy)
        self._owns_backend = isinstance(model, str | Path)
        if isinstance(model, str | Path):
            self.uncached: Backend = build_backend(str(model), builder, **loading)
        else:
            self.uncached = _loaded(model, loading)
        check_capabilities(self.strategy, self.uncached)
        self._opened = AnswerStore.open(Path(cache)) if isinstance(cache, str | Path) else None
        store = cache if isinstance(cache, AnswerStore) else self._opened
        self.backend = self.uncached if store is None else cached(self.uncached, store)
        self._engine = Engine(
            self.strategy, self.backend, in_flight=in_flight, keep_exchanges=keep_exchanges, opener=opener
        )
        self._calibrated: tuple[LabelSpace, Mapping[str, Any]] | None = None
        self._again = partial(
            Pipeline,
            model,
            strategy,
            seed=seed,
            prompt=self.prompt,
            in_flight=in_flight,
            keep_exchanges=keep_exchanges,
            cache=None if store is None else store.path.absolute(),
            opener=opener,
            plugins=plugins,
            **loading,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _made_again, (self._again, self._calibrated)

    def on(self, device: str) -> Pipeline:
        """Return the same on another device, with a model of its own that is not loaded; a backend stays as it is."""
        again = partial(self._again, device=device) if self._owns_backend else self._again
        return _made_again(again, self._calibrated)

    def classify(
        self, images: Images, labels: Labels | None = None, *, taxonomy: Taxonomy | None = None
    ) -> Iterator[Prediction]:
        """Predict the label of each picture, in order.

        Args:
            images: The pictures.
            labels: What may be answered; without them the leaves of the taxonomy.
            taxonomy: The tree that the labels are leaves of, for strategies that descend it.

        Raises:
            LabelError: There is no label.
            TaxonomyError: A label is no leaf of the taxonomy.
            VlmkitError: A picture cannot be read or a question not be answered; the iteration ends there. Where the
                others shall go on, use ``solve``.
        """
        space = _label_space(labels, taxonomy)
        if not space:
            raise LabelError("there are no labels to choose from", hint="give labels, or a taxonomy")
        return self._predictions(self.solve(_examples(images), space, taxonomy=taxonomy))

    def ask(self, images: Images, question: str) -> Iterator[Prediction]:
        """Put a free question about each picture; the reply is ``Prediction.text``.

        Raises:
            VlmkitError: As ``classify``.
        """
        return self._predictions(self.solve(_examples(images, question)))

    def solve(
        self,
        examples: Iterable[Example],
        labels: Labels | None = None,
        *,
        taxonomy: Taxonomy | None = None,
        stop: Callable[[], bool] = lambda: False,
    ) -> Iterator[Solved]:
        """Solve every example, in order; one that fails is yielded with its error and the others go on.

        A strategy that chooses by measuring does so first, once for the same labels. ``labels`` and ``taxonomy`` are
        those of ``classify``; once ``stop`` returns true, no further example is begun.

        Raises:
            UserError: The request as a whole is wrong.
        """
        space = _label_space(labels, taxonomy)
        if isinstance(self.strategy, Calibrates) and (self._calibrated is None or self._calibrated[0] != space):
            self.calibrate(space)
        return self._engine.solve(examples, space, seed=self.seed, prompt=self.prompt, taxonomy=taxonomy, stop=stop)

    def check(self, examples: Iterable[Example], labels: LabelSpace, *, taxonomy: Taxonomy | None = None) -> None:
        """Begin with the first example and ask nothing, so that a wrong request shows early; no weights load.

        Raises:
            UserError: The request as a whole is wrong: the strategy lacks the taxonomy that it descends.
        """
        if not isinstance(self.strategy, Calibrates):
            for example in islice(examples, 1):
                self._engine.begin(example, labels, taxonomy=taxonomy)

    def calibrate(self, labels: LabelSpace, report: Mapping[str, Any] | None = None) -> Mapping[str, Any] | None:
        """Let a strategy that chooses by measuring choose; ``solve`` does so by itself.

        Args:
            labels: What may be answered.
            report: What an earlier go over the same labels found, so that nothing is measured again.

        Returns:
            The report, or None where the strategy measures nothing.

        Raises:
            UserError: Nothing can be measured.
        """
        if not isinstance(self.strategy, Calibrates):
            return None
        if report is None:
            # What an answer costs shows only where it is not replayed.
            report = self.strategy.calibrate(
                self.uncached, labels, seed=self.seed, prompt=self.prompt, in_flight=self._engine.in_flight
            )
        self._engine = evolve(self._engine, strategy=self.strategy.settled(report))
        self._calibrated = labels, report
        return report

    def close(self) -> None:
        """Release the model and the cache, unless they were given ready-made."""
        if self._owns_backend:
            self.backend.close()
        if self._opened is not None:
            self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _predictions(self, all_solved: Iterable[Solved]) -> Iterator[Prediction]:
        for solved in all_solved:
            if solved.prediction is None:
                assert solved.error is not None
                raise solved.error
            yield solved.prediction


def _loaded(backend: Backend, loading: Loading) -> Backend:
    """Return a backend, unless it is to be loaded in another way than it was."""
    told = [name for name, value in loading.items() if value]
    if told:
        raise SpecError(
            f"{told[0]} cannot be chosen for a {type(backend).__name__}, which is made already",
            hint="choose it where the backend is made, or give the model's name instead",
        )
    return backend


def _made_again(again: Callable[[], Pipeline], calibrated: tuple[LabelSpace, Mapping[str, Any]] | None) -> Pipeline:
    pipeline = again()
    if calibrated is not None:
        pipeline.calibrate(*calibrated)
    return pipeline


def _installed() -> PluginHost:
    host = PluginHost.load()
    for plugin in host.failures:
        warnings.warn(str(plugin.error), stacklevel=3)
    return host


def _label_space(labels: Labels | None, taxonomy: Taxonomy | None) -> LabelSpace:
    if labels is None:
        return LabelSpace(()) if taxonomy is None else taxonomy.labels
    if isinstance(labels, str | Path):
        labels = read_labels(Path(labels))
    space = labels if isinstance(labels, LabelSpace) else LabelSpace(labels)
    if taxonomy is not None:
        taxonomy.leaves_of(space)
    return space


def _examples(images: Images, question: str | None = None) -> Iterator[Example]:
    alone = isinstance(images, str | ImageSource) or hasattr(images, "read")
    several = cast("Iterable[OneImage]", (images,) if alone else images)
    for index, image in enumerate(several):
        source = _source(image)
        name = source.as_posix() if isinstance(source, Path) else str(index)
        yield Example(id=name, images=(source,), question=question)


def _source(image: OneImage) -> ImageSource:
    if isinstance(image, str):
        return ImageUrl(image) if ImageUrl.reads(image) else Path(image)
    if hasattr(image, "read"):
        return image.read()
    return image  # opening it refuses what is none
