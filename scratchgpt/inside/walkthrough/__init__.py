"""The walkthrough in the terminal: one sentence, or one training example of a stage, with every number real.

``command.py`` is what ``python -m scratchgpt walkthrough`` runs; ``texts.py`` holds all that it says.
"""
