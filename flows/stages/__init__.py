"""One stage of the graph, brought up to date by DVC: both drivers run what is here, and nothing else does."""
