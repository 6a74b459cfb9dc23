"""What the steps of the course are made of; each room is described in CONTRIBUTING.md."""
