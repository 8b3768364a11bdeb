"""Runs recordings through a node's own monitor, without a broker and as fast as it goes."""
