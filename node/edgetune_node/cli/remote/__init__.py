"""Commands that talk to nodes over MQTT."""
