from .archive import export_bundle as export_bundle, import_bundle as import_bundle, read_key as read_key
from .evaluation import Evaluation as Evaluation, evaluate as evaluate
from .files import (
    CARD as CARD,
    MEASURED as MEASURED,
    MODEL_FILES as MODEL_FILES,
    REPORT as REPORT,
    TEMPORARY_PREFIX as TEMPORARY_PREFIX,
    read_verified as read_verified,
    write_folder as write_folder,
)
from .health import health_metrics as health_metrics, write_health_bundle as write_health_bundle
from .html import (
    ACCENT as ACCENT,
    INK as INK,
    QUIET as QUIET,
    figure_of as figure_of,
    image as image,
    page as page,
    plain_decades as plain_decades,
    table as table,
)
from .learned import seen as seen, self_test as self_test
from .pareto import (
    FRONT as FRONT,
    KeptPoint as KeptPoint,
    kept_networks as kept_networks,
    origin as origin,
    pack as pack,
    pick as pick,
)
from .read import (
    Bundle as Bundle,
    load_bundle as load_bundle,
    measured_classifier as measured_classifier,
    read_card as read_card,
)
from .report import render_apart as render_apart
from .scores import metrics as metrics
from .tested import (
    TESTED_ON as TESTED_ON,
    accuracy_sentence as accuracy_sentence,
    accuracy_text as accuracy_text,
    card_accuracy as card_accuracy,
    classes_in_parts as classes_in_parts,
    false_alarms_text as false_alarms_text,
    how_tested as how_tested,
    kind_of_test as kind_of_test,
    recordings_of as recordings_of,
)
from .write import write_bundle as write_bundle
