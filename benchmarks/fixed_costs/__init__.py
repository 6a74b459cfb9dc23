"""What a train stage costs that has nothing to learn, and where each second goes."""
