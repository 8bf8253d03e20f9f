"""scratchgpt: a complete small language model in NumPy and Numba, from the gradient up."""

# Kernels first: they set what the compiler and the thread pools read when Numba is imported.
from scratchgpt import kernels  # isort: skip
from scratchgpt.autograd import Tensor, gradcheck, no_grad
from scratchgpt.config import GPTConfig, RLHFConfig, RLVFConfig, get_mini_config
from scratchgpt.inference.text import TextGenerator
from scratchgpt.models.gpt2 import GPT
from scratchgpt.models.reward import RewardModel
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.stages.reward import RewardModelTrainer
from scratchgpt.stages.rlhf import PPOTrainer
from scratchgpt.stages.rlvf import RLVFTrainer
from scratchgpt.tokenizer import BPETokenizer, CharTokenizer
from scratchgpt.verify.verifiers import LogicVerifier, MathVerifier

__all__ = [
    "GPT",
    "AdamW",
    "BPETokenizer",
    "CharTokenizer",
    "GPTConfig",
    "LogicVerifier",
    "MathVerifier",
    "PPOTrainer",
    "RLHFConfig",
    "RLVFConfig",
    "RLVFTrainer",
    "RewardModel",
    "RewardModelTrainer",
    "Tensor",
    "TextGenerator",
    "get_mini_config",
    "gradcheck",
    "kernels",
    "no_grad",
]
