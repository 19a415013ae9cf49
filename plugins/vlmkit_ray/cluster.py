"""The cluster that a run's workers live on, and how many of them it has room for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging import ERROR, getLogger

from vlmkit.errors import UserError


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
    own = {"include_dashboard": False, "_node_ip_address": "127.0.0.1"} if address is None else {}
    try:
        ray.init(address or "local", log_to_driver=False, logging_level=ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"no Ray cluster is to be had at {address or 'this machine'} ({str(error).strip().splitlines()[0]})",
            hint="start one with ray start --head, or leave --address out",
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


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
    share = {"CPU": cpus, "GPU": gpus}
    fits = sum(_times(node, share) for node in nodes)
    if not fits:
        raise UserError(
            f"no node of the Ray cluster has the {cpus:g} CPUs and {gpus:g} GPUs of a worker",
            hint="lower --gpus-per-worker, or --engine ray:cpus_per_worker=N",
        )
    return fits, gpus


def _times(node: Mapping[str, float], share: Mapping[str, float]) -> int:
    return int(min(node.get(name, 0) / amount for name, amount in share.items() if amount))
