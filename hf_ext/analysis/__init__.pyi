from .position_probe import (
    PositionProbe as PositionProbe,
    probe_positions as probe_positions,
)
from .second_moment_probe import (
    Moments as Moments,
    SecondMomentProbe as SecondMomentProbe,
)
