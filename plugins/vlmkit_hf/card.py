"""Results as metadata of the Hub: the ``model-index`` of a model card, and files below ``.eval_results``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlmkit.errors import UserError
from vlmkit_hf.evaluation import TASK, Evaluation

if TYPE_CHECKING:
    from huggingface_hub import EvalResult


def card_text(evaluation: Evaluation, *, url: str | None = None, earlier: str | None = None) -> str:
    """Return a model card with the results in its metadata.

    Args:
        evaluation: The results.
        url: Where they can be looked up.
        earlier: The card to add them to: text and other metadata stay, a result of the same name on the same data is
            replaced.

    Raises:
        UserError: The earlier card's metadata is broken.
    """
    import yaml
    from huggingface_hub import ModelCard, ModelCardData

    new = eval_results(evaluation, url=url)
    if earlier is None:
        data = ModelCardData(model_name=evaluation.model, eval_results=new)
        return f"---\n{data.to_yaml()}\n---\n"
    try:
        card = ModelCard(earlier)
    except (ValueError, TypeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"the metadata of the card is broken ({reason})", hint="mend it, or write another file"
        ) from error
    replaced = {_key(result) for result in new}
    kept = [result for result in card.data.get("eval_results", []) if _key(result) not in replaced]
    card.data["eval_results"] = [*kept, *new]
    card.data["model_name"] = card.data.get("model_name", evaluation.model)
    return str(card)


def eval_results(evaluation: Evaluation, *, url: str | None = None) -> list[EvalResult]:
    """Return the results as huggingface_hub has them, one for each metric."""
    from huggingface_hub import EvalResult

    return [
        EvalResult(
            task_type=TASK,
            dataset_type=evaluation.dataset,
            dataset_name=evaluation.dataset,
            dataset_config=evaluation.config,
            dataset_split=evaluation.split,
            dataset_revision=evaluation.revision,
            metric_type=metric.type,
            metric_name=metric.name,
            metric_value=metric.value,
            metric_args=dict(metric.settings),
            source_name=None if url is None else f"vlmkit {evaluation.version}",
            source_url=url,
        )
        for metric in evaluation.metrics
    ]


def eval_results_text(evaluation: Evaluation, *, url: str | None = None) -> str:
    """Return the content of a file for the folder ``.eval_results`` of a model on the Hub: its first metric.

    Raises:
        UserError: The data set is not on the Hub.
    """
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    if not evaluation.on_hub:
        raise UserError(f"{evaluation.dataset} is no data set of the Hub", hint="give its id: --dataset OWNER/NAME")
    metric = evaluation.metrics[0]
    low, high = metric.interval
    entry = EvalResultEntry(
        dataset_id=evaluation.dataset,
        task_id=evaluation.config or "default",
        value=metric.value,
        dataset_revision=evaluation.revision,
        date=evaluation.date,
        source_url=url,
        source_name=None if url is None else f"vlmkit {evaluation.version}",
        notes=f"{metric.name}, 95 % interval {low:.4f} to {high:.4f}, {metric.settings['examples']:,} examples",
    )
    text: str = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True)
    return text


def _key(result: EvalResult) -> tuple[object, ...]:
    return (*result.unique_identifier, result.metric_type, result.metric_name)
