"""The steps of the course. Each is a process of its own, and ends when the DVC that runs it is gone."""

from regatta.garbage import collect_rarely
from regatta.orphans import end_with_parent

# Here, before a step imports torch and the like for seconds: until then it would be blind.
end_with_parent()
collect_rarely()
