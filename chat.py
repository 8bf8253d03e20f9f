"""Talk with the trained model: python chat.py --help"""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # while it loads, Ctrl-C ends it without a word
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from scratchgpt.cli.chat import chat

if __name__ == "__main__":
    sys.exit(chat())
