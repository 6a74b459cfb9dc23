"""What `make doctor` looks at here, one area a file: plain functions that yield findings and change nothing.

Each file is run as a process of its own (`python -m flows.examining.machine`), so that what does not
import, or hangs, is a finding and not the end of the examination. What lies in other rooms (torch, Ray,
MLflow, runs in flight) is examined by `python -m tasks.doctor`.
"""
