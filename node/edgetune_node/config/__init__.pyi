from .machine import MachineSection as MachineSection, read_bearing as read_bearing
from .settings import (
    AlarmSection as AlarmSection,
    AssetSection as AssetSection,
    MqttSection as MqttSection,
    NodeSection as NodeSection,
    Settings as Settings,
    SignSection as SignSection,
    TlsSection as TlsSection,
    WindowSection as WindowSection,
    load_settings as load_settings,
)
from .small_files import read_small_file as read_small_file
