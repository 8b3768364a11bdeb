"""Sparkplug B 3.0: the node as an edge node, its assets as devices, over an MQTT connection of its own."""
