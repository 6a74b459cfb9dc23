"""The whole course of one run against the same engine as one script."""
