"""Kill trials: whatever dies, the same weights, the same history, nothing left behind.

Reading order: `draw` (a trial, and how one is drawn), `kinds` (what is killed, and when), `project` (the
course and its uninterrupted twin), `mirror` and `pictures` (data that are downloaded), `trial` and `attempt`
(one trial), `victims`, `processes`, `nodes` and `hook` (finding and killing), `standing` and `remains`
(reading what is there), `judge`, `record`.
"""
