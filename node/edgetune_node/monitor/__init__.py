"""Room monitor."""
