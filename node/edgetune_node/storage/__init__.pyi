from .backup import (
    BACKUPS as BACKUPS,
    RunningError as RunningError,
    copy_backup as copy_backup,
    copy_database as copy_database,
    held_outbox as held_outbox,
    told as told,
    write_backup as write_backup,
)
from .backup_restore import Archive as Archive, finish_restore as finish_restore, restore as restore
from .evidence import EvidenceStore as EvidenceStore
from .folders import INCOMING as INCOMING, asset_folder as asset_folder, prepare_folders as prepare_folders
from .forgetting import copies as copies, erase_person as erase_person
from .heard import HeardFile as HeardFile
from .models import ModelStore as ModelStore
from .people import Profiles as Profiles, model_folders as model_folders, worn as worn
from .recordings import is_of as is_of, list_recordings as list_recordings, misfit as misfit
from .sign_figures import note_sign_figures as note_sign_figures
from .trends import TrendStore as TrendStore
from .unknowns import NoveltyStore as NoveltyStore
