from .broker_url import BrokerUrl as BrokerUrl, read_url as read_url
from .machine import MachineSection as MachineSection, read_bearing as read_bearing
from .mqtt import MqttSection as MqttSection, TlsSection as TlsSection
from .settings import (
    AlarmSection as AlarmSection,
    AssetSection as AssetSection,
    NodeSection as NodeSection,
    Settings as Settings,
    WindowSection as WindowSection,
    load_settings as load_settings,
)
from .signs import SignSection as SignSection
from .small_files import read_small_file as read_small_file
