"""Room remote."""
