from .code import add_code as add_code
from .saved_classes import saved_with as saved_with
from .sentence_transformers_folder import save_for_sentence_transformers as save_for_sentence_transformers
