"""The node: inference, calibration, MQTT, alarms and the command line."""
