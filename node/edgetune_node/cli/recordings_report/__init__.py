"""Room recordings_report."""
