from .files import read_verdicts as read_verdicts
from .job import VerdictJob as VerdictJob
from .pipeline import VerdictPipeline as VerdictPipeline
