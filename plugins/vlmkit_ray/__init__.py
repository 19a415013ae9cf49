"""Runs whose examples a Ray cluster solves."""

from vlmkit import Registry, hookimpl


@hookimpl
def vlmkit_register(registry: Registry) -> None:
    """Register the engine."""
    registry.engine(
        "ray",
        "vlmkit_ray.engine:RayEngine",
        summary="Workers on a Ray cluster, each with a model (Ray Data)",
        source="https://docs.ray.io/en/latest/data/data.html",
    )
