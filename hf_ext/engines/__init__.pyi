from .embedding import Embedding as Embedding
from .prediction import Prediction as Prediction
from .ray_run import run_on_ray as run_on_ray
