"""The demo's cast: a broker, a machine, an operator and a SCADA subscriber around a real node."""
