"""How this package lies on the disk: in a checkout, or installed; where its data and its trained run are.

A checkout has ``data/`` and ``train.py`` beside the package. Installed from a wheel, the same data lie inside of it,
each file compressed (``setup.py`` puts them there), and ``scratchgpt train`` does what ``python train.py`` does.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
IN_CHECKOUT = (PACKAGE.parent / "train.py").is_file()
DATA = PACKAGE.parent / "data" if IN_CHECKOUT else PACKAGE / "shipped" / "data"
"""The folder of the project's own training data."""
SHIPPED_RUN = PACKAGE / "shipped" / "run"
"""The folder of the run that travels with the package: what ``python -m scratchgpt pack`` made of a default run."""
_SCRIPTS = ("train", "chat")
"""Commands that a checkout has as a script of their own."""


def data_file(name: str) -> Path:
    """Where a file of the project's own data lies.

    Args:
        name: as in ``data/``: ``"sft_data.json"``.

    Returns:
        The file, or the compressed one (``.xz``); if neither is there, where the file ought to be.
    """
    plain = DATA / name
    compressed = DATA / f"{name}.xz"
    return compressed if compressed.is_file() and not plain.is_file() else plain


def is_own_data(path: Path) -> bool:
    """Whether a file is of the project's own data."""
    return path.is_relative_to(DATA)


def typed(command: str) -> str:
    """What a user types here to run a command: ``python train.py``, ``scratchgpt train``.

    Args:
        command: its name: ``"train"``.
    """
    if not IN_CHECKOUT:
        return f"scratchgpt {command}"
    return f"python {command}.py" if command in _SCRIPTS else f"python -m scratchgpt {command}"
