"""What a caller may catch: the mistake of a user, a run that was stopped, a context that is full."""


class UserError(Exception):
    """A mistake the user can mend: the message is one line that says what, where and how to mend it.

    The command line prints it without a traceback and exits with code 2.
    """


class Interrupted(Exception):  # noqa: N818 (it is no error)
    """Ctrl-C during a stage; its state is saved.

    Attributes:
        stage: the stage's name on the command line.
        step: the last step that was made.
    """

    def __init__(self, stage: str, step: int) -> None:
        super().__init__(f"{stage} stopped after step {step}")
        self.stage, self.step = stage, step


class ContextWindowWarning(UserWarning):
    """Says that something no longer fits the model's context and what was left out."""
