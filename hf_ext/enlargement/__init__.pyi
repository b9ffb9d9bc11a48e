from .enlarge import (
    Enlargement as Enlargement,
    enlarge as enlarge,
    make_enlargement as make_enlargement,
)
