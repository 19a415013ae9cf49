"""Runs in MLflow: the worked example of the hooks that observe a run."""

from vlmkit_mlflow.observer import Observer

observer = Observer()
"""The plugin: an object, because what it learns when a run starts it needs when the run goes on."""

__all__ = ["Observer", "observer"]
