"""Room recordings."""
