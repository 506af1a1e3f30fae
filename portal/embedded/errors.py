"""An error that the user can fix, in one line."""


class EmbeddedError(Exception):
    """A service cannot be started; the message says why and what to do."""
