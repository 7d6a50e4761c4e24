"""Serves the ledger: a pipeline for each lane, the doorbell's jobs, and the upkeep of what was left behind.

An edge: it opens the transactions. The in-process runner and `notifier work` are both the class `Worker`.
"""

from notifier.worker.worker import Worker

__all__ = ["Worker"]
