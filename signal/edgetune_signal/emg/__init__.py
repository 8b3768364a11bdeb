"""Room emg."""
