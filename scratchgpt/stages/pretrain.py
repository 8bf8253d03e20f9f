"""Stage 1, pretraining: predict the next token of plain text.

    loss = -mean_t log p(x_{t+1} | x_1 .. x_t)                      (Radford et al. 2018, eq. 1)

The text is one stream of ids cut into windows of the context size; every token of a window is a target.
"""

from __future__ import annotations

from collections.abc import Sequence

from scratchgpt.config import GPTConfig, PretrainConfig
from scratchgpt.datasets.batches import TextWindows, encode_documents
from scratchgpt.datasets.sources import DataSources
from scratchgpt.evaluation.answering import written_text
from scratchgpt.evaluation.measures import text_metrics
from scratchgpt.inference.generate import generate_batch
from scratchgpt.models.base import LanguageModel
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.nn.schedules import cosine_schedule, total_steps
from scratchgpt.stages.stage import SAMPLES, Context, Measures, Setup, Sizes, Stage
from scratchgpt.stages.warning_signs import supervised_signs
from scratchgpt.stages.work import Outlook, Piece, Work, batches, measurements
from scratchgpt.tokenizer import END_IDS, Tokenizer
from scratchgpt.training.history import History, Metrics
from scratchgpt.training.memory import (
    Parts,
    generating,
    held_models,
    language_model_pass,
    measuring_loss,
    packed_weights,
    together,
)
from scratchgpt.training.trainer import Trainer
from scratchgpt.training.update import language_model_step


class Pretrainer(Trainer):
    """Trains a language model on documents.

    Args:
        model: the language model, trained in place.
        tokenizer: made for the same vocabulary.
        config: the model's sizes.
        pretrain_config: settings of the stage.
        documents, heldout: texts to train on and to measure on.
        seed: of the order of the windows and of dropout.
    """

    name = "pretrain"
    stage_number = 1

    def __init__(
        self,
        model: LanguageModel,
        tokenizer: Tokenizer,
        config: GPTConfig,
        pretrain_config: PretrainConfig,
        documents: Sequence[str],
        heldout: Sequence[str],
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.model, self.tokenizer, self.settings, self.seed = model, tokenizer, pretrain_config, seed
        self.heldout = heldout
        stream = encode_documents(documents, tokenizer)
        self.batches = TextWindows(stream, config.context_size, pretrain_config.batch_size, seed)
        self.total_steps = pretrain_config.steps or total_steps(pretrain_config.epochs, self.batches.steps_per_epoch)
        self.evaluate_every = pretrain_config.evaluate_every
        self.optimizer = AdamW(
            model.named_parameters(),
            pretrain_config.lr,
            betas=(0.9, pretrain_config.beta2),
            weight_decay=pretrain_config.weight_decay,
        )
        self.modules, self.optimizers = {"model": model}, {"model": self.optimizer}

    def step(self, index: int) -> Metrics:
        """One batch of windows, one update."""
        lr = cosine_schedule(index, self.total_steps, self.settings.lr, self.settings.warmup_steps)
        self.model.reseed(self.seed, self.stage_number, index)
        batch = self.batches.batch(index)
        return language_model_step(self.model, self.optimizer, batch, lr, self.settings.max_grad_norm, self.world)

    def evaluate(self) -> Metrics:
        """Loss, perplexity and bits per character of the held-out text."""
        return text_metrics(self.model, self.tokenizer, self.heldout)

    def warning_signs(self, history: History) -> dict[str, str]:
        """That the held-out loss has turned, and at the end that nothing was learned."""
        return supervised_signs(history.evaluations, self.total_steps)

    def sample(self) -> str:
        """The beginning of a text, as the model would write it."""
        prompt = self.heldout[0][:4]
        ids = self.tokenizer.encode(prompt)
        continuation = generate_batch(
            self.model.eval(), [ids], 48, temperature=0.8, top_k=50, stop_ids=END_IDS, seed=self.seed
        )[0]
        return (prompt + "|" + written_text(self.tokenizer, continuation)).replace("\n", " ")


CONTINUATION = 40
"""Tokens by which the report's samples go on with the beginning of a text."""


def _build(context: Context) -> Setup:
    documents, heldout = context.data.documents()
    model, tokenizer = context.model, context.tokenizer
    context.say(f"pretrain: {model.num_parameters():,} parameters, {sum(map(len, documents)):,} characters")
    trainer = Pretrainer(model, tokenizer, model.config, context.settings, documents, heldout, context.seed)
    prompts = [document[:8] for document in heldout[:SAMPLES]]
    encoded = [tokenizer.encode(prompt) for prompt in prompts]
    characters = sum(map(len, heldout))

    def measure() -> Measures:
        metrics = trainer.evaluate()
        return {
            "bits per character": (metrics["bits_per_character"], characters),
            "perplexity": (metrics["perplexity"], characters),
        }

    def samples() -> list[tuple[str, str]]:
        ids = generate_batch(model.eval(), encoded, CONTINUATION, temperature=0.8, top_k=50, stop_ids=END_IDS)
        return [(prompt, written_text(tokenizer, row)) for prompt, row in zip(prompts, ids, strict=True)]

    def closing(history: History) -> str:
        last = history.evaluations[-1]
        return (
            f"validation loss {last['loss']:.4f} nats a token after {last['step']:,} steps, "
            f"{history.seconds:.0f} seconds of training"
        )

    return Setup(trainer, model, tokenizer, measure, samples, closing)


def _memory(sizes: Sizes) -> list[Parts]:
    model = sizes.model
    held = together(held_models(model, 1, 1), {"packed weights": packed_weights(model)})
    moments = [
        *language_model_pass(model, sizes.settings.batch_size, model.context_size),
        measuring_loss(model, model.context_size),
        generating(model, SAMPLES, SAMPLES),
    ]
    return [together(held, moment) for moment in moments]


def _work(outlook: Outlook) -> Work:
    documents, heldout = outlook.read_by(DataSources.documents)
    settings, size = outlook.settings, outlook.config.context_size
    windows = max(1, outlook.tokens(documents) // size - 1)
    batch = min(settings.batch_size, windows)
    steps = settings.steps or total_steps(settings.epochs, batches(windows, batch))
    looks = measurements(steps, settings.evaluate_every) + 2
    pieces = [
        Piece("train", steps, batch, size, size),
        outlook.reading(looks * outlook.tokens(heldout) / size, 0, size),
        outlook.writing(2 * SAMPLES, 8, CONTINUATION),
    ]
    return Work(steps, pieces)


PRETRAIN = Stage(
    name="pretrain",
    title_zh="预训练",
    title_en="Pretraining",
    directory="pretrain",
    config=PretrainConfig,
    reads=(DataSources.documents, DataSources.spoken),
    build=_build,
    work=_work,
    from_nothing=True,
    writes="text",
    memory=_memory,
)
