"""The walkthrough in the terminal: one sentence, or one training example of a stage, with every number real.

``cli/commands/walkthrough.py`` is what ``python -m scratchgpt walkthrough`` runs; ``texts.py`` and ``page_texts.py``
hold all that it says.
"""
