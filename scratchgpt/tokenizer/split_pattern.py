r"""The split pattern: where a text is cut into chunks before any byte-pair merge.

Merges never cross a chunk's border, so the pattern decides what a token can be at all (the idea is
GPT-2's: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2):

- a run of Han characters is one chunk. Chinese writes no spaces, so the merges find the words;
- a word of any other script is one chunk, with the space before it: " the" is one token, not two;
- every digit is alone. If "15" and "27" were tokens, "15 + 27" would show no columns to add;
- the ending of an English contraction ('s, 't, 'll) is alone, so "dog" and "dog's" share "dog";
- punctuation and symbols form runs of their own, so a word is the same with a comma after it;
- every newline is alone. What follows a newline is split as if the text began there, which is why
  a chat turn can be encoded in pieces (``chat_format.py``) and still give the ids of the whole;
- other white space forms runs, but leaves its last space to the word that follows.

The pattern means the same to the ``regex`` package and to Oniguruma, which ``tokenizers`` uses, up to
characters so new that only one of the two knows their category.
"""

from collections.abc import Callable

import regex

WORD_CHARACTER = r"[^\s\p{Han}\p{N}\p{P}\p{S}\p{Z}\p{C}]"  # what is left is letters and the marks on them
OTHER_CHARACTER = r"[^\s\p{L}\p{M}\p{N}]"
BLANK = r"[^\S\n]"

SPLIT_PATTERN = "|".join(
    (
        rf" ?{WORD_CHARACTER}+",
        r"\p{Han}+",
        r"\p{N}",
        r"'(?:[sdmt]|ll|ve|re)(?![A-Za-z])",
        rf" ?{OTHER_CHARACTER}+",
        r"\n",
        rf"{BLANK}+(?!\S)",
        rf"{BLANK}+",
    )
)


def compile_splitter() -> Callable[[str], list[str]]:
    """The plain splitter; ``splitting`` does the same from bytes, compiled.

    Returns:
        A function from a text to its chunks, which joined give the text again.
    """
    return regex.compile(SPLIT_PATTERN).findall
