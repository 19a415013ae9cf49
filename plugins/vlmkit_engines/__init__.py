"""What a run solves its examples with, on one machine."""

from vlmkit import Registry, hookimpl


@hookimpl
def vlmkit_register(registry: Registry) -> None:
    """Register the engines."""
    registry.engine("local", "vlmkit.engine:LocalEngine", summary="This process, with one model")
    registry.engine(
        "devices", "vlmkit_engines.devices:DevicesEngine", summary="A process for each device of this machine"
    )
