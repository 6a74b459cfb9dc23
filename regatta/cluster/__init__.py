"""The only place that imports Ray: one function, run on as many workers as there should be."""
