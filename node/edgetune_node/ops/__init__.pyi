from .audit import AuditLog as AuditLog
from .log_writer import LogWriter as LogWriter
from .logs import log_rare as log_rare
from .rate_limit import Rate as Rate
from .vitals import Vitals as Vitals, disk_problem as disk_problem, free_bytes as free_bytes
from .watchdog import Publishing as Publishing, Reading as Reading, Watchdog as Watchdog
