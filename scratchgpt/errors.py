"""What a caller may catch: the mistake of a user, a run that was stopped, a context that is full."""

import signal


class UserError(Exception):
    """A mistake the user can mend: the message is one line that says what, where and how to mend it.

    The command line prints it without a traceback and exits with code 2.
    """


class Interrupted(Exception):  # noqa: N818 (it is no error)
    """Ctrl-C, SIGTERM or SIGHUP during a stage; its state is saved.

    Attributes:
        stage: the stage's name on the command line.
        step: the last step that was made.
        signal_number: of what has arrived.
    """

    def __init__(self, stage: str, step: int, signal_number: int = signal.SIGINT) -> None:
        super().__init__(f"{stage} stopped after step {step}")
        self.stage, self.step, self.signal_number = stage, step, signal_number


class ContextWindowWarning(UserWarning):
    """Says that something no longer fits the model's context and what was left out."""
