"""Train a chat model through all five stages: python train.py --help"""

import sys

from scratchgpt.cli.train import train

if __name__ == "__main__":
    sys.exit(train())
