"""Prefect, and the graph that it reads from DVC: wiring only."""

from regatta.garbage import collect_rarely

collect_rarely()
