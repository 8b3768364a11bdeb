from .features import EmgFeatures as EmgFeatures, emg_features as emg_features
from .onset import Activity as Activity
