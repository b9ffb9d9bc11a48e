from .code import add_code as add_code
from .saved_classes import saved_with as saved_with
