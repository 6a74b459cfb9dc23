"""Holds a Ray of two nodes on the loopback address, for as long as its standard input is open.

Its head has no room for workers, so that all of them are on the other node; each line that comes in adds
one more like that. Prints the environment that leads there, as JSON, once both are up.
"""

import json
import os
import signal
import sys

from regatta.settings.home import local_ray_environment

WORKERS = 2

environment = local_ray_environment()
os.environ.update(environment)  # Ray reads it when it is imported.
from ray.cluster_utils import Cluster  # noqa: E402

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
cluster.add_node(num_cpus=WORKERS)
# A killed raylet must not stay a zombie of ours: its workers would take it for living.
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
print(json.dumps(environment | {"RAY_ADDRESS": cluster.address}), flush=True)
for _ in sys.stdin:
    cluster.add_node(wait=False, num_cpus=WORKERS)
