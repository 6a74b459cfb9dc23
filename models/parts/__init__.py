"""Building blocks that several families share. Nothing here knows of a family that uses it."""
