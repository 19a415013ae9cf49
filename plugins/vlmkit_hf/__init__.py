"""Data sets of the Hugging Face ecosystem, and results in the form of the Hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vlmkit import Registry, hookimpl

if TYPE_CHECKING:
    import click


@hookimpl
def vlmkit_register(registry: Registry) -> None:
    """Register the data sets that lie in tables and archives."""
    registry.dataset(
        "hf",
        "vlmkit_hf.hub:HubDataset",
        summary="Hugging Face data set, from the Hub or a local folder, as hf:NAME:SPLIT",
        shorthand=("name", "split"),
    )
    registry.dataset(
        "parquet", "vlmkit_hf.parquet:Parquet", summary="Parquet files with pictures in them", shorthand=("path",)
    )
    registry.dataset(
        "webdataset", "vlmkit_hf.webdataset:WebDataset", summary="Tar archives of samples", shorthand=("path",)
    )


@hookimpl
def vlmkit_commands(cli: click.Group) -> None:
    """Add ``vlmkit hf``."""
    from vlmkit_hf.commands import hf

    cli.add_command(hf)
