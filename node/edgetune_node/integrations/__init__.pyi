from .announcements import Announcements as Announcements
from .figures import Figures as Figures
from .home_assistant import discovery as discovery
from .metrics_server import MetricsServer as MetricsServer
from .sparkplug.edge_node import SparkplugEdgeNode as SparkplugEdgeNode
from .sparkplug.names import SparkplugNames as SparkplugNames, state_topic as state_topic
from .sparkplug.session import harmless_death as harmless_death
