from .encoding import ImageDataset as ImageDataset
from .files import read_labelled_images as read_labelled_images
from .job import ImageClassificationJob as ImageClassificationJob
from .pipeline import ImageClassesPipeline as ImageClassesPipeline
