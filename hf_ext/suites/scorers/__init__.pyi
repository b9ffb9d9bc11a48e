from .chid import chid_accuracy as chid_accuracy
from .classification import labelled_accuracy as labelled_accuracy
from .cluener import (
    cluener_label as cluener_label,
    cluener_scores as cluener_scores,
)
from .cmrc2018 import (
    cmrc2018_scores as cmrc2018_scores,
    strict_span_accuracy as strict_span_accuracy,
)
from .duee import (
    character_f1 as character_f1,
    duee_event_list as duee_event_list,
    duee_scores as duee_scores,
)
from .duie import (
    duie_scores as duie_scores,
    read_aliases as read_aliases,
)
from .duie_slots import (
    SlotLink as SlotLink,
    join_slots as join_slots,
    read_duie_schema as read_duie_schema,
    spo_of_relation as spo_of_relation,
    with_types as with_types,
)
from .dureader_robust import dureader_robust_scores as dureader_robust_scores
