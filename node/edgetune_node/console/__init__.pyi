from .handover import ServerSettings as ServerSettings, flat as flat, hand_over as hand_over
from .listening import LOOPBACK_NAMES as LOOPBACK_NAMES, Listening as Listening, listen as listen
