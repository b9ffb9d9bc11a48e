from .app import make_app as make_app
from .batcher import Batcher as Batcher
from .limits import Limits as Limits
from .opened_model import open_model as open_model
from .served_model import ServedModel as ServedModel
