"""Room simulators."""
