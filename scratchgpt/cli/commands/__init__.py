"""The commands of ``python -m scratchgpt``, one module each, with a dataclass ``Arguments`` and a function ``run``."""
