"""Room vibration."""
