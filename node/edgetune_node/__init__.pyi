from .config import Settings as Settings, load_settings as load_settings
from .contract import (
    COMMANDS as COMMANDS,
    MESSAGES as MESSAGES,
    Command as Command,
    Message as Message,
    Topics as Topics,
    parse_command as parse_command,
)
from .errors import (
    CommandError as CommandError,
    ConfigError as ConfigError,
    NodeError as NodeError,
    OutboxError as OutboxError,
    StoreError as StoreError,
)
