from .csv import read_csv as read_csv
from .mat import (
    CHANNEL_KEYS as CHANNEL_KEYS,
    CWRU_RATE_HZ as CWRU_RATE_HZ,
    read_cwru_mat as read_cwru_mat,
    read_mat_variable as read_mat_variable,
)
from .wav import read_wav as read_wav
