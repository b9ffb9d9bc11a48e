from .position_probe import (
    PositionProbe as PositionProbe,
    probe_positions as probe_positions,
)
