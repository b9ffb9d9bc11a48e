from .archive import (
    pack as pack,
    submission_bytes as submission_bytes,
)
from .entries import (
    answer_object as answer_object,
    entities_entry as entities_entry,
    events_entry as events_entry,
    idiom_entry as idiom_entry,
    label_entry as label_entry,
    relations_entry as relations_entry,
)
from .expected import (
    SubmissionFile as SubmissionFile,
    file_of_rows as file_of_rows,
)
from .faults import Fault as Fault
from .names import split_name as split_name
from .validation import (
    validate as validate,
    validate_file as validate_file,
)
