from .client import ENDED_AT_ONCE as ENDED_AT_ONCE, MAX_INCOMING_BYTES as MAX_INCOMING_BYTES
from .client_id_conflict import ClientIdConflicts as ClientIdConflicts
from .file_watch import FileWatch as FileWatch, begin_log as begin_log
from .link import Link as Link
from .outbox import Outbox as Outbox
from .outbox_clock import machine_boot as machine_boot, since_boot_ns as since_boot_ns
from .paho_client import Client as Client, WholePacketClient as WholePacketClient
from .property_text import install_reader as install_reader
from .sockets import connect_arguments as connect_arguments, ended_by_peer as ended_by_peer, prepare as prepare
from .tls import distrust as distrust, own_certificate as own_certificate, tls_context as tls_context
