"""Assets of a configuration, and what a calibration of them may cost."""

from __future__ import annotations

BUDGET = {"ram_bytes": 4096, "search_seconds": 6}
CLASSES = {"normal": "normal", "inner": "inner_severe"}
"""The classes of the bearing, and the condition that the simulated machine has for each."""
BEARING = """
[[asset]]
id = "bearing"
rate_hz = 12000
alarm = {{ raise_after_s = 0.4, clear_after_s = 0.4 }}
[asset.source]
type = "simulated"
condition = "normal"
speed = 4
block_s = 0.1
select_file = '{playing}'
"""
ARM = """
[[asset]]
id = "arm"
task = "sign"
channels = 8
rate_hz = 200
unit = "counts"
window = {{ length = 52, hop = 13 }}
"""
RESTING = """
[asset.source]
type = "simulated"
machine = "armband"
condition = "rest"
"""
PLAYED = RESTING + "speed = 4\nblock_s = 0.1\nselect_file = '{playing}'\n"
