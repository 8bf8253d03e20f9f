"""The one exception a user may cause and should read."""


class UserError(Exception):
    """A mistake the user can mend: the message is one line that says what, where and how to mend it.

    The command line prints it without a traceback and exits with code 2.
    """
