"""Room novelty."""
