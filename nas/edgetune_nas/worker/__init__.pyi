from .events import SearchDone as SearchDone, SearchEvent as SearchEvent, SearchFailed as SearchFailed
from .job import JOB_FILE as JOB_FILE, DataSource as DataSource, Job as Job, SearchJob as SearchJob
