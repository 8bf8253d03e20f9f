"""One sentence through the model and back: everything the pages show, computed and recorded in one go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scratchgpt import autograd as ag
from scratchgpt import kernels
from scratchgpt.autograd import no_grad
from scratchgpt.errors import UserError
from scratchgpt.inference.sampling import SamplingConfig, row_seed, sample_logits
from scratchgpt.inside.recorder import Recording, record
from scratchgpt.inside.walkthrough.labels import token_label, token_labels
from scratchgpt.inside.walkthrough.subject import Subject
from scratchgpt.inside.walkthrough.texts import Speech
from scratchgpt.installation import typed
from scratchgpt.models.gpt2 import block_path
from scratchgpt.nn.optimizers import AdamW

MAX_GRAD_NORM = 1.0
"""To what the gradient of the one optimizer step is clipped."""


@dataclass(frozen=True)
class Update:
    """One step of AdamW and what it changed.

    Attributes:
        optimizer: after its step, with its running means.
        norm: of all gradients together, before clipping.
        probabilities: (V,) of the token after the sentence, computed anew with the new parameters.
        loss: of the same targets, computed anew as well.
    """

    optimizer: AdamW
    norm: float
    probabilities: np.ndarray
    loss: float


@dataclass(frozen=True)
class Walk:
    """A sentence, what the model made of it, and where to look.

    Attributes:
        subject: model and tokenizer; the model's parameters are those after the update.
        sentence: the text.
        ids: (T,) int64, its tokens.
        labels: T, the tokens as a person reads them.
        layer, head: what is shown closely, from 0.
        speech: the language.
        recording: the forward and the backward pass.
        sampling: how the next token was drawn.
        uniform: the random number in [0, 1) that drew it.
        sampled: its id.
        targets: (T,) int64, the token that each position ought to predict.
        chosen_target: whether the last one was given, not drawn.
        loss: mean cross-entropy over the positions, in nats.
        update: the optimizer's step.
    """

    subject: Subject
    sentence: str
    ids: np.ndarray
    labels: list[str]
    layer: int
    head: int
    speech: Speech
    recording: Recording
    sampling: SamplingConfig
    uniform: float
    sampled: int
    targets: np.ndarray
    chosen_target: bool
    loss: float
    update: Update

    def label(self, token_id: int) -> str:
        """A token as a person reads it."""
        return token_label(self.subject.tokenizer, int(token_id))

    @property
    def block(self) -> str:
        """Path of the layer that is shown closely."""
        return block_path(self.layer)

    @property
    def logits(self) -> np.ndarray:
        """(V,) scores of the token after the sentence, before the update."""
        return self.recording.step("matmul", "").output[0, -1]

    @property
    def probabilities(self) -> np.ndarray:
        """(V,) probabilities of the token after the sentence, before the update."""
        return self.recording.step("token_losses", "").hidden()[0].array[0, -1]


def walk_sentence(
    subject: Subject,
    sentence: str,
    speech: Speech,
    layer: int = 0,
    head: int = 0,
    target: str | None = None,
    sampling: SamplingConfig = SamplingConfig(),  # noqa: B008 (frozen)
    seed: int = 0,
) -> Walk:
    """Run the sentence forward, draw a token, run back from the loss, make one optimizer step, run once more.

    Args:
        subject: model and tokenizer; the model is changed by the step.
        sentence: at least one character.
        speech: the language of the pages.
        layer, head: what to show closely, from 0.
        target: the token the last position ought to predict is the first of this text; None: the drawn one.
        sampling: how to draw; its top_p and repetition_penalty take no part.
        seed: of the draw.

    Raises:
        UserError: if the sentence is empty or too long, the target is empty, or there is no such layer or head.
    """
    model, tokenizer = subject.model.eval(), subject.tokenizer
    _check_place(subject, layer, head)
    ids = _encode(subject, sentence)
    wanted = None if target is None else _first_token(subject, target)
    batch = ids[None]
    if kernels.backend() == "numba":
        _warm_up(subject, batch)
    with record(model) as recording:
        logits, _ = model(batch)
        uniform = np.random.default_rng(row_seed(seed, 0)).random()
        sampled = int(sample_logits(logits.data[:, -1], np.array([uniform]), sampling)[0])
        targets = np.append(ids[1:], sampled if wanted is None else wanted)
        loss = ag.cross_entropy(logits, targets[None])
        loss.backward()
    update = _update(subject, batch, targets[None])
    return Walk(
        subject=subject,
        sentence=sentence,
        ids=ids,
        labels=token_labels(tokenizer, ids),
        layer=layer,
        head=head,
        speech=speech,
        recording=recording,
        sampling=sampling,
        uniform=uniform,
        sampled=sampled,
        targets=targets,
        chosen_target=wanted is not None,
        loss=loss.item(),
        update=update,
    )


def _warm_up(subject: Subject, batch: np.ndarray) -> None:
    """Go there and back once: what is recorded afterwards is the kernels' work, not their loading or compilation."""
    logits, _ = subject.model(batch)
    ag.cross_entropy(logits, batch).backward()
    subject.model.zero_grad()


def _update(subject: Subject, batch: np.ndarray, targets: np.ndarray) -> Update:
    """One step with the gradients that the parameters hold."""
    model = subject.model
    optimizer = AdamW(model.named_parameters(), subject.learning_rate)
    norm = optimizer.step(MAX_GRAD_NORM)
    with no_grad():
        logits, _ = model(batch)
        loss = ag.cross_entropy(logits, targets)
        probabilities = ag.softmax(logits[0, -1])
    return Update(optimizer, norm, probabilities.data, loss.item())


def _check_place(subject: Subject, layer: int, head: int) -> None:
    config = subject.model.config
    for flag, value, count in (("layer", layer, config.num_layers), ("head", head, config.num_heads)):
        if not 0 <= value < count:
            raise UserError(f"--{flag} {value}: there is no such {flag}; this model's are 0 to {count - 1}")


def _encode(subject: Subject, sentence: str) -> np.ndarray:
    if not sentence.strip():
        raise UserError(f'the sentence is empty; give some text, as in: {typed("walkthrough")} "我 爱"')
    ids = subject.tokenizer.encode(sentence)
    most = subject.model.config.context_size
    if len(ids) > most:
        raise UserError(f"the sentence is {len(ids)} tokens long, the model's context only {most}; shorten it")
    return np.array(ids, dtype=np.int64)


def _first_token(subject: Subject, target: str) -> int:
    if not target:
        raise UserError("--target is empty; give the text that should come next")
    return subject.tokenizer.encode(target)[0]
