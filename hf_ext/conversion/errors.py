"""What a conversion raises."""


class ConversionError(ValueError):
    """A release cannot be converted; the message is one line that says what is wrong and what to do."""
