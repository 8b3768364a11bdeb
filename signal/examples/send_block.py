"""Send one sample block per second to a broker: python send_block.py HOST PORT TOPIC."""  # noqa: INP001

import math
import struct
import sys
import time

import paho.mqtt.client as mqtt

host, port, topic = sys.argv[1], int(sys.argv[2]), sys.argv[3]
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
client.connect(host, port)
client.loop_start()
rate_hz, scale, unit, n = 1000.0, 0.001, b"g", 1000  # raw integers are milli-g
for sequence in range(2**64):
    time_ns = time.time_ns()
    raw = [round(800 * math.sin(2 * math.pi * 50 * k / rate_hz)) for k in range(n)]
    header = struct.pack("<2sBBHBBQqddI", b"ET", 1, 2, 1, len(unit), 0, sequence, time_ns, rate_hz, scale, n)
    client.publish(topic, header + unit + struct.pack(f"<{n}h", *raw))
    time.sleep(n / rate_hz)
