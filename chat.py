"""Talk with the trained model: python chat.py --help"""

import sys

from scratchgpt.cli import chat

if __name__ == "__main__":
    sys.exit(chat())
