from .enlarge import (
    Enlargement as Enlargement,
    enlarge as enlarge,
    make_enlargement as make_enlargement,
)
from .folder import (
    EnlargedFolder as EnlargedFolder,
    enlarge_folder as enlarge_folder,
)
