"""The one kind of error that a user is meant to read."""


class UserError(Exception):
    """A mistake in what was asked for or in what was found on disk.

    The message stands on its own: it names the key, path or file, says what was expected and what
    to do. Whoever catches it prints the message alone, without a traceback.
    """
