from .collator import DataCollatorForDialogue as DataCollatorForDialogue
from .encoding import DialogueEncoder as DialogueEncoder
from .files import read_dialogues as read_dialogues
from .job import DialogueJob as DialogueJob
from .pipeline import DialoguePipeline as DialoguePipeline
