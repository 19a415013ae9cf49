"""Data sets from a user's own files."""

from vlmkit import Registry, hookimpl


@hookimpl
def vlmkit_register(registry: Registry) -> None:
    """Register the data sets that read files."""
    registry.dataset(
        "folder", "vlmkit_datasets.folder:Folder", summary="Pictures below a folder; sub-folder names are the targets"
    )
    registry.dataset(
        "manifest", "vlmkit_datasets.manifest:Manifest", summary="CSV or JSONL that lists pictures and targets"
    )
