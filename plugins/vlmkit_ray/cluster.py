"""The cluster that a run's workers live on, and how many of them it has room for."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from logging import ERROR, getLogger

from vlmkit.errors import UserError, first_line


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Be connected to a Ray cluster for a while; a connection that is there already is used, and stays.

    Args:
        address: Its address, ``auto`` for the one on this machine, or None to start one here that ends with this.

    Raises:
        UserError: Ray is not installed, or no cluster is there.
    """
    try:
        import ray
        import ray.data  # a Ray without Ray Data is as good as none
        from ray._common.usage import usage_lib
    except ImportError as error:
        raise UserError(f"engine ray needs Ray Data ({error})", hint="run: pip install 'vlmkit[ray]'") from error
    if ray.is_initialized():
        yield
        return
    usage_lib.set_usage_stats_enabled_via_env_var(False)  # a cluster that is started here tells nobody
    for name in ("ray", "ray.data"):
        getLogger(name).setLevel(ERROR)  # progress and notes are the run's own
    with nullcontext() if address else loopback():
        try:
            _knock(address or "")
            ray.init(address or "local", include_dashboard=False, log_to_driver=False, logging_level=ERROR)
        except Exception as error:  # Ray says with plain ones that a node did not start in time
            reason = f"{type(error).__name__}: {first_line(error)}"
            raise UserError(
                f"there is no Ray cluster at {address}" if address else "no Ray cluster starts here",
                hint=f"start one with ray start --head, and give its --address ({reason})",
            ) from error
        try:
            yield
        finally:
            ray.shutdown()


@contextmanager
def loopback() -> Iterator[None]:
    """Let the nodes that Ray starts meanwhile listen on 127.0.0.1 alone.

    By itself Ray takes 127.0.0.1 for the address that other machines know this one by, and listens everywhere.
    """
    from ray._private import ray_constants

    known = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False  # named for clusters of more than one machine
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = known


def _knock(address: str) -> None:
    """Raise OSError where nobody is at HOST:PORT; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if port.isdecimal() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


def room(cpus: float, gpus: float | None) -> tuple[int, float]:
    """Return how many workers the cluster has room for, were it empty, and how many GPUs each takes.

    Args:
        cpus: CPU cores of a worker.
        gpus: GPUs of a worker; None for one if the cluster has any.

    Raises:
        UserError: It has room for none.
    """
    import ray

    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if gpus is None:
        gpus = 1 if any("GPU" in node for node in nodes) else 0
    share = {name: amount for name, amount in (("CPU", cpus), ("GPU", gpus)) if amount}
    fits = sum(int(min(node.get(name, 0) / amount for name, amount in share.items())) for node in nodes)
    if not fits:
        raise UserError(
            f"no node of the Ray cluster has the {cpus:g} CPUs and {gpus:g} GPUs of a worker",
            hint="lower --gpus-per-worker, or --engine ray:cpus_per_worker=N",
        )
    return fits, gpus
