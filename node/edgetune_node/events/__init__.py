"""Room events."""
