from .collator import DataCollatorForTextAutoencoding as DataCollatorForTextAutoencoding
from .files import read_texts as read_texts
from .job import AutoencoderJob as AutoencoderJob, KLWarmUp as KLWarmUp
from .metrics import diagnose as diagnose
from .pipeline import TextAutoencodingPipeline as TextAutoencodingPipeline
