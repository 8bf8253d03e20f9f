"""A run small enough for tests: data files, a checkpoint, and the flags that keep every stage short."""

from __future__ import annotations

import json
from pathlib import Path

from scratchgpt.config import GPTConfig
from scratchgpt.models.gpt2 import GPT
from scratchgpt.tokenizer import CharTokenizer

ANIMALS = "猫狗鸟鱼牛羊马兔鸡鸭"
PLACES = "山河湖海林田园城村路"
MODEL = {"--emb-dim": 32, "--num-heads": 2, "--num-layers": 2, "--context-size": 64, "--vocab-size": 300}
QUICK = ["--kernels", "numpy", *(str(part) for flag in MODEL.items() for part in flag)]


def write_data(folder: Path) -> list[str]:
    """Write small data of all four kinds; returns the flags that name them."""
    pairs = [(animal, place) for animal in ANIMALS for place in PLACES]
    files = {
        "corpus": "\n\n".join(f"小{a}住在{p}里。它每天都很快乐，喜欢看{p}。" for a, p in pairs),
        "sft": [dialogue(f"小{a}住在哪里？", f"小{a}住在{p}里。") for a, p in pairs],
        "reward": [{"prompt": f"小{a}住在哪里？", "chosen": f"住在{p}里。", "rejected": "不知道。"} for a, p in pairs],
        "rlvf": [{"type": "math", "prompt": f"计算 {i} + 1 = ?", "expected_answer": str(i + 1)} for i in range(40)],
    }
    folder.mkdir(parents=True, exist_ok=True)
    flags = []
    for name, content in files.items():
        is_text = isinstance(content, str)
        path = folder / (f"{name}.txt" if is_text else f"{name}.json")
        path.write_text(content if is_text else json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
        flags += [f"--{name}" if is_text else f"--{name}-data", str(path)]
    return flags


def dialogue(question: str, answer: str) -> dict:
    """One SFT record."""
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}


def tiny_tokenizer() -> CharTokenizer:
    """One id for each character of the data and of the chat format."""
    tokenizer = CharTokenizer()
    tokenizer.build_vocab([f"小{ANIMALS}住在{PLACES}里哪？。它每天都很快乐，喜欢看你好userasitn\n 0123456789"])
    return tokenizer


def save_checkpoint(out: Path, stage: str, seed: int = 0) -> Path:
    """A finished checkpoint of an untrained model: 2 layers, 32 channels, context 64."""
    tokenizer = tiny_tokenizer()
    config = GPTConfig(tokenizer.vocab_size, emb_dim=32, num_heads=2, num_layers=2, context_size=64)
    directory = out / stage
    GPT(config, seed).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def write_log(out: Path, stage: str, steps: int = 4) -> None:
    """A stage's log: a measurement, the steps, a sample."""
    records = [{"kind": "evaluation", "step": 0, "loss": 3.0, "accuracy": 0.1, "accuracy/addition": 0.1}]
    records += [{"kind": "step", "step": i + 1, "loss": 3 - i / 9, "tokens": 5.0, "seconds": 0.1} for i in range(steps)]
    records += [{"kind": "sample", "step": 0, "text": "从前"}]
    (out / "logs").mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(record, ensure_ascii=False) for record in records]
    (out / "logs" / f"{stage}.jsonl").write_text("\n".join(lines), encoding="utf-8")


def files_in(folder: Path) -> dict[str, bytes]:
    """Everything below a folder, to see that nothing was changed."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
