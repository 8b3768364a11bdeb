from .handover import ServerSettings as ServerSettings, flat as flat, hand_over as hand_over
from .listening import (
    LOOPBACK_NAMES as LOOPBACK_NAMES,
    Listening as Listening,
    check_certificate as check_certificate,
    listen as listen,
)
from .proxies import Header as Header, check_proxies as check_proxies
