"""Talk with the trained model: python chat.py --help"""

import sys

from scratchgpt.cli.chat import chat

if __name__ == "__main__":
    sys.exit(chat())
