from .check import (
    TaskCheck as TaskCheck,
    check_suite as check_suite,
)
from .discovery import (
    load_suite as load_suite,
    shipped_suites as shipped_suites,
)
from .files import (
    json_rows as json_rows,
    text_field as text_field,
    with_label as with_label,
)
from .measure import Measure as Measure
from .prediction import predict_suite as predict_suite
from .report import (
    suite_report as suite_report,
    write_suite_report as write_suite_report,
)
from .runs import (
    Run as Run,
    find_runs as find_runs,
)
from .suite import (
    Published as Published,
    Row as Row,
    Suite as Suite,
    SuiteTask as SuiteTask,
    prediction_line as prediction_line,
)
from .training import Training as Training
