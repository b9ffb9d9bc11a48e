from .code import add_code as add_code
from .push import push_model as push_model
from .saved_classes import saved_with as saved_with
