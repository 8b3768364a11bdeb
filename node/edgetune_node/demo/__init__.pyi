from .afterwards import next_steps as next_steps
from .broker import choose_broker as choose_broker
from .play import perform as perform
from .screen import Screen as Screen
from .summary import Summary as Summary
