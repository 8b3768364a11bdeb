from .bars import open_bar as open_bar
from .json_output import json_errors as json_errors, print_json as print_json
from .lines import InputLines as InputLines
from .reading import takes_reading as takes_reading
from .sizes import (
    parse_count as parse_count,
    parse_seconds as parse_seconds,
    parse_seconds_or_none as parse_seconds_or_none,
    parse_size as parse_size,
)
from .stopping import stop_signals as stop_signals
