"""The labels of events' arguments: ``"type|role"``."""

ROLE_MARK = "|"
"""Separates an event's type from a role in a label: ``"组织关系-裁员|裁员方"``."""
TRIGGER = "触发词"
"""The role of a trigger."""


def event_label(event_type: str, role: str) -> str:
    """The label of a role in events of a type."""
    return f"{event_type}{ROLE_MARK}{role}"


def split_event_label(label: str) -> tuple[str, str]:
    """Type and role of a label; one without the mark is a role of a type without a name."""
    event_type, _, role = label.rpartition(ROLE_MARK)
    return event_type, role
