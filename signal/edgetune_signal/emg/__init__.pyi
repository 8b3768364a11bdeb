from .electrodes import ElectrodeFault as ElectrodeFault, electrode_faults as electrode_faults
from .features import EmgFeatures as EmgFeatures, emg_features as emg_features
from .onset import Activity as Activity
