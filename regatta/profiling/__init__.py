"""Where the time of a run's steps goes, beside what this machine could do; the engine seen from outside."""
