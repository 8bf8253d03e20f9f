"""The presets; of the public yardstick: that it is the published recipe, and is measured as the recipe's is."""

from __future__ import annotations

import dataclasses
import io
import math
import random
import re
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from scratchgpt.cli.train import train
from scratchgpt.config import GPTConfig, PretrainConfig
from scratchgpt.datasets.batches import TextWindows, encode_documents
from scratchgpt.datasets.sources import DataSources
from scratchgpt.errors import UserError
from scratchgpt.evaluation.measures import text_metrics
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.schedules import cosine_schedule
from scratchgpt.runs import pipeline
from scratchgpt.runs.plan import Plan
from scratchgpt.stages import ALL, stage_named
from scratchgpt.stages.presets import PRESETS, Preset, get_preset
from scratchgpt.stages.pretrain import PRETRAIN, Pretrainer
from scratchgpt.stages.run_folder import load_model
from scratchgpt.tokenizer import CharTokenizer

YARDSTICK = get_preset("shakespeare")
CHARACTERS = "abcdefgh \n"


def play(length: int = 6000) -> str:
    """Lines of nonsense, a blank line between speeches."""
    rng = random.Random(0)
    speeches = ["\n".join("".join(rng.choices("abcdefgh ", k=20)).strip() + "." for _ in range(3)) for _ in range(200)]
    return "\n\n".join(speeches)[:length].strip() + "\n"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "play.txt"
    path.write_text(play(), encoding="utf-8")
    return path


def test_a_preset_leaves_out_what_is_the_stages_default() -> None:
    settings = PretrainConfig(batch_size=7)
    preset = Preset(GPTConfig(), {"pretrain": settings})
    assert preset.of("pretrain") is settings
    for stage in ALL[1:]:
        assert preset.of(stage.name) == stage.config()
    with pytest.raises(UserError, match="there is no stage 'dpo'"):
        preset.of("dpo")


def test_every_preset_names_stages_that_exist() -> None:
    for preset in PRESETS.values():
        for name, settings in preset.settings.items():
            assert type(settings) is stage_named(name).config


def test_an_unknown_preset_names_those_there_are() -> None:
    assert get_preset("tiny") is PRESETS["tiny"]
    with pytest.raises(UserError, match="no preset 'huge'; choose one of mini, tiny, base, shakespeare"):
        get_preset("huge")


# -- the yardstick ------------------------------------------------------------------------------------------
def test_the_preset_is_the_published_recipe() -> None:
    model, settings = YARDSTICK.model, YARDSTICK.of("pretrain")
    assert (model.num_layers, model.num_heads, model.emb_dim, model.context_size) == (4, 4, 128, 64)
    assert model.dropout == 0.0
    assert model.initial_std == pytest.approx(128**-0.5)  # the scale is this project's own
    assert (settings.steps, settings.batch_size, settings.warmup_steps) == (2000, 12, 100)
    assert (settings.weight_decay, settings.max_grad_norm, settings.beta2) == (0.1, 1.0, 0.99)
    rates = [cosine_schedule(step, 2000, settings.lr, settings.warmup_steps) for step in (0, 99, 100, 1050, 1999)]
    np.testing.assert_allclose(rates, [1e-5, 1e-3, 1e-3, 5.5e-4, 1e-4], rtol=1e-3)


def test_steps_and_beta2_reach_the_trainer(corpus: Path) -> None:
    plan = Plan(("pretrain",), YARDSTICK, Path(), tokenizer="char", data=DataSources(corpus=corpus, running_text=True))
    trainer = pipeline.set_up(PRETRAIN, plan, Console(file=io.StringIO())).trainer
    assert trainer.total_steps == 2000 and trainer.optimizer.betas == (0.9, 0.99)
    passes = dataclasses.replace(YARDSTICK.of("pretrain"), steps=None, epochs=2, beta2=0.95)
    arguments = trainer.model, trainer.tokenizer, trainer.model.config, passes, [play()], [play()]
    other = Pretrainer(*arguments)
    assert other.total_steps == 2 * other.batches.steps_per_epoch and other.optimizer.betas == (0.9, 0.95)


def test_one_command_prints_the_loss_and_the_time(corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = corpus.with_name("out")
    command = ["--preset", "shakespeare", "--stage", "pretrain", "--tokenizer", "char", "--corpus", str(corpus)]
    assert train([*command, "--out", str(out), "--steps", "12", "--precision", "float32"]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    line = re.search(r"validation loss (\d\.\d{4}) nats a token after 12 steps, \d+ seconds of training", printed)
    assert line, printed
    model, tokenizer = load_model(out, "pretrain")
    assert tokenizer.vocab_size == 6 + len(set(play()))  # the special tokens, and no character of the dialogues
    heldout = play().rstrip("\n")[-math.ceil(0.1 * len(play().rstrip("\n"))) :]
    assert float(line[1]) == pytest.approx(text_metrics(model, tokenizer, [heldout])["loss"], abs=1e-4)


def test_every_character_of_the_text_is_seen_about_equally_often() -> None:
    """The recipe draws windows at random; ours cover the text once a pass, at another offset each time."""
    tokenizer = CharTokenizer()
    tokenizer.build_vocab([CHARACTERS])
    stream = encode_documents([play()], tokenizer)
    windows = TextWindows(stream, 64, 12, seed=0)
    starts = np.arange(len(stream))
    windows.stream = starts.astype(np.int32)
    for epoch in range(3):
        steps = range(epoch * windows.steps_per_epoch, (epoch + 1) * windows.steps_per_epoch)
        seen = np.concatenate([windows.batch(step).input_ids.reshape(-1) for step in steps])
        assert len(np.unique(seen)) == len(seen) > 0.9 * len(stream) - 64 * 12


def test_the_model_has_the_published_size() -> None:
    parameters = GPT(dataclasses.replace(YARDSTICK.model, vocab_size=65)).num_parameters()
    weights = 12 * 4 * 128**2 + 65 * 128 + 64 * 128  # four blocks, tokens, positions
    vectors = 4 * (13 * 128) + 2 * 128  # ours has biases, the recipe's model has none
    assert parameters == weights + vectors
