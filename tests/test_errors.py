"""What a caller may catch: each apart from the others, and each says what it has to say."""

from __future__ import annotations

import signal
import warnings

import pytest

from scratchgpt.errors import ContextWindowWarning, Interrupted, UserError


def test_an_interruption_says_where() -> None:
    interrupted = Interrupted("sft", 12)
    assert (interrupted.stage, interrupted.step) == ("sft", 12)
    assert str(interrupted) == "sft stopped after step 12"
    assert interrupted.signal_number == signal.SIGINT and Interrupted("sft", 12, 15).signal_number == 15


def test_an_interruption_is_no_mistake_and_a_mistake_no_bug() -> None:
    """Who catches the errors of Python's own, or the one of ours, does not swallow the other."""
    assert not issubclass(Interrupted, UserError) and not issubclass(UserError, Interrupted)
    for ours in (UserError, Interrupted):
        assert not issubclass(ours, ArithmeticError | LookupError | OSError | RuntimeError | TypeError | ValueError)


def test_notes_of_the_context_can_be_silenced_alone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", ContextWindowWarning)
        warnings.warn("forgotten", ContextWindowWarning, stacklevel=1)
        with pytest.raises(UserWarning, match="something else"):
            warnings.warn("something else", UserWarning, stacklevel=1)
