"""The six special tokens: their spellings and ids, the same for every tokenizer of this project.

Special tokens are ids, not text. A user who types ``<|im_end|>`` gets the ids of those ten
characters; only ``chat_format.py`` puts the ids below into a sequence. Otherwise a user's message could end
its own turn and speak as the assistant.
"""

PAD = "<PAD>"
UNK = "<UNK>"
BOS = "<BOS>"
EOS = "<EOS>"
IM_START = "<|im_start|>"
IM_END = "<|im_end|>"

SPECIAL_TOKENS = (PAD, UNK, BOS, EOS, IM_START, IM_END)

PAD_ID, UNK_ID, BOS_ID, EOS_ID, IM_START_ID, IM_END_ID = range(len(SPECIAL_TOKENS))
END_IDS = (EOS_ID, IM_START_ID, IM_END_ID)
"""Whichever of these a model writes ends its answer. The opening of a turn does too: nobody speaks for the next one."""
