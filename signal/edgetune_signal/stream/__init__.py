"""Room stream."""
