from .announcements import Announcements as Announcements
from .figures import Figures as Figures
from .home_assistant import discovery as discovery
from .metrics_server import MetricsServer as MetricsServer
