"""The training loop: log, measurements, interruption, and resuming to the bit."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress

from scratchgpt import terminal
from scratchgpt.config import GPTConfig, PretrainConfig
from scratchgpt.errors import Interrupted, UserError
from scratchgpt.models.gpt2 import GPT
from scratchgpt.nn.modules import Linear
from scratchgpt.nn.schedules import cosine_schedule
from scratchgpt.signals import ENDING
from scratchgpt.stages.pretrain import Pretrainer
from scratchgpt.stages.run_folder import partial_file
from scratchgpt.tokenizer import CharTokenizer
from scratchgpt.training import loop
from scratchgpt.training.checkpoints import read_arrays
from scratchgpt.training.history import History, Metrics, read_history
from scratchgpt.training.loop import _columns, run_trainer, time_text
from scratchgpt.training.trainer import Trainer

TEXT = ["天空是蓝色的。小鸟在唱歌。", "猫吃鱼。今天星期三。", "你好呀。等于二。"] * 32


def make(config: GPTConfig, tokenizer: CharTokenizer, **settings: object) -> Pretrainer:
    chosen = PretrainConfig(**{"epochs": 3, "batch_size": 2, "evaluate_every": 4, "warmup_steps": 2, **settings})
    trainer = Pretrainer(GPT(config, 1), tokenizer, config, chosen, TEXT, TEXT[:3], seed=1)
    trainer.fingerprint = repr(chosen)
    return trainer


def files(out: Path) -> tuple[Path, Path]:
    """Log and unfinished state."""
    return out / "logs" / "pretrain.jsonl", partial_file(out, "pretrain")


def quiet() -> Console:
    return Console(file=io.StringIO())


def test_a_run_logs_every_step_measures_and_learns(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer
) -> None:
    trainer = make(tiny_config, char_tokenizer, lr=1e-2)
    history = run_trainer(trainer, *files(tmp_path), quiet())
    assert [r["step"] for r in history.steps] == list(range(1, trainer.total_steps + 1))
    assert [r["step"] for r in history.evaluations] == sorted(
        {0, *range(4, trainer.total_steps, 4), trainer.total_steps}
    )
    assert history.evaluations[-1]["bits_per_character"] < 0.8 * history.evaluations[0]["bits_per_character"]
    assert history.tokens == trainer.total_steps * 2 * 64 and history.tokens_per_second > 0
    lines = (tmp_path / "logs" / "pretrain.jsonl").read_text(encoding="utf-8").splitlines()
    assert {json.loads(line)["kind"] for line in lines} == {"step", "evaluation", "sample"}
    assert read_history(tmp_path / "logs" / "pretrain.jsonl") == history


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_saves_and_resuming_ends_at_the_same_weights(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer, number: int
) -> None:
    before = [signal.getsignal(other) for other in ENDING]
    straight = make(tiny_config, char_tokenizer)
    run_trainer(straight, *files(tmp_path / "straight"), quiet())

    class Stopped(Pretrainer):
        def step(self, index: int) -> Metrics:
            if index == 4:
                os.kill(os.getpid(), number)
            return super().step(index)

    stopped = make(tiny_config, char_tokenizer)
    stopped.__class__ = Stopped
    out = tmp_path / "stopped"
    with pytest.raises(Interrupted) as caught:
        run_trainer(stopped, *files(out), quiet())
    assert caught.value.step == 5 and partial_file(out, "pretrain").is_file()
    assert caught.value.signal_number == number
    assert [signal.getsignal(other) for other in ENDING] == before

    resumed = make(tiny_config, char_tokenizer)
    history = run_trainer(resumed, *files(out), quiet(), resume=True)
    assert [r["step"] for r in history.steps] == list(range(1, straight.total_steps + 1))
    for name, array in straight.model.state_dict().items():
        np.testing.assert_array_equal(array, resumed.model.state_dict()[name], err_msg=name)


class Interruptible(Pretrainer):
    """Sends itself a signal in the calls that are named; notes all calls."""

    def at(self, *moments: tuple[str, int], send: Callable[[], None] | None = None) -> Interruptible:
        self.moments, self.calls, self.made = moments, [], 0
        self.send = send or (lambda: os.kill(os.getpid(), signal.SIGTERM))
        return self

    def _note(self, name: str, step: int) -> None:
        self.calls.append((name, step))
        if (name, step) in self.moments:
            self.send()

    def step(self, index: int) -> Metrics:
        self.made = index + 1
        self._note("step", index + 1)
        return super().step(index)

    def evaluate(self) -> Metrics:
        self._note("evaluate", self.made)
        return super().evaluate()


def interruptible(
    config: GPTConfig, tokenizer: CharTokenizer, *moments: tuple[str, int], send: Callable[[], None] | None = None
) -> Interruptible:
    trainer = make(config, tokenizer)
    trainer.__class__ = Interruptible
    return trainer.at(*moments, send=send)


def lines(log: Path) -> list[dict]:
    """The records without the times."""
    records = [json.loads(line) for line in log.read_text(encoding="utf-8").split("\n")[:-1]]
    return [{name: value for name, value in record.items() if name != "seconds"} for record in records]


LAST = 21
"""Steps of the runs below."""


@pytest.mark.parametrize(
    ("moment", "stopped_at", "then"),
    [
        (("step", LAST), LAST, [("evaluate", 0)]),  # all steps are made: the measurement alone is left
        (("evaluate", LAST), LAST, []),
        (("step", 8), 8, [("evaluate", 0), *[("step", step) for step in range(9, 13)]]),  # a step that is measured
        (("evaluate", 8), 8, [("step", step) for step in range(9, 13)]),
        (("evaluate", 0), 0, [("step", step) for step in range(1, 5)]),
    ],
)
def test_a_signal_is_honoured_wherever_it_comes_and_nothing_is_missing_or_twice(
    tmp_path: Path,
    tiny_config: GPTConfig,
    char_tokenizer: CharTokenizer,
    moment: tuple[str, int],
    stopped_at: int,
    then: list[tuple[str, int]],
) -> None:
    log, partial = files(tmp_path / "stopped")
    straight = make(tiny_config, char_tokenizer)
    assert straight.total_steps == LAST
    run_trainer(straight, *files(tmp_path / "straight"), quiet())
    with pytest.raises(Interrupted) as caught:
        run_trainer(interruptible(tiny_config, char_tokenizer, moment), log, partial, quiet())
    assert caught.value.step == stopped_at and read_arrays(partial)[1]["step"] == str(stopped_at)

    resumed = interruptible(tiny_config, char_tokenizer)
    run_trainer(resumed, log, partial, quiet(), resume=True)
    assert resumed.calls[: len(then)] == then and (then or not resumed.calls)
    assert lines(log) == lines(files(tmp_path / "straight")[0])
    for name, array in straight.model.state_dict().items():
        np.testing.assert_array_equal(array, resumed.model.state_dict()[name], err_msg=name)


def test_a_signal_after_the_last_look_is_not_swallowed(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = loop.Progress.stop

    def stop(bar: loop.Progress) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        shown(bar)

    log, partial = files(tmp_path)
    with monkeypatch.context() as patch, pytest.raises(Interrupted) as caught:
        patch.setattr(loop.Progress, "stop", stop)
        run_trainer(make(tiny_config, char_tokenizer), log, partial, Console(file=io.StringIO(), force_terminal=True))
    assert caught.value.step == LAST and read_arrays(partial)[1]["step"] == str(LAST)


def test_killed_in_the_last_measurement_all_steps_are_saved(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer
) -> None:
    def killed() -> None:
        raise SystemExit

    log, partial = files(tmp_path)
    with pytest.raises(SystemExit):
        run_trainer(interruptible(tiny_config, char_tokenizer, ("evaluate", LAST), send=killed), log, partial, quiet())
    assert read_arrays(partial)[1]["step"] == str(LAST)


def test_killed_between_the_lines_of_a_measurement_none_is_twice(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer
) -> None:
    log, partial = files(tmp_path)
    run_trainer(make(tiny_config, char_tokenizer), log, partial, quiet())
    whole = log.read_bytes()
    log.write_bytes(whole[: whole.rstrip().rindex(b"\n") + 1])  # without the last sample
    run_trainer(make(tiny_config, char_tokenizer), log, partial, quiet(), resume=True)
    assert log.read_bytes() == whole


def test_the_state_of_an_earlier_run_is_not_resumed_from(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer
) -> None:
    log, partial = files(tmp_path)
    with pytest.raises(Interrupted):
        run_trainer(interruptible(tiny_config, char_tokenizer, ("step", 9)), log, partial, quiet())

    def killed() -> None:
        raise SystemExit

    with pytest.raises(SystemExit):
        run_trainer(interruptible(tiny_config, char_tokenizer, ("step", 2), send=killed), log, partial, quiet())
    resumed = interruptible(tiny_config, char_tokenizer)
    run_trainer(resumed, log, partial, quiet(), resume=True)
    assert resumed.calls[:2] == [("step", 1), ("step", 2)]


def test_resuming_with_other_settings_is_refused(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer
) -> None:
    trainer = make(tiny_config, char_tokenizer)
    run_trainer(trainer, *files(tmp_path), quiet(), save_every_seconds=0)
    with pytest.raises(UserError, match="other settings"):
        run_trainer(make(tiny_config, char_tokenizer, lr=5e-4), *files(tmp_path), quiet(), resume=True)


# -- what is not finite ---------------------------------------------------------------------------------------
class Sick(Pretrainer):
    """Its loss is not a number in some steps, as long as the learning rate is whole or whatever it is."""

    def ill(self, *steps: int, cured_by_half: bool = True) -> Sick:
        self.steps, self.cured_by_half = steps, cured_by_half
        self.healthy = self.model.loss
        return self

    def step(self, index: int) -> Metrics:
        sick = index + 1 in self.steps and not (self.cured_by_half and self.lr_scale < 1)
        self.model.loss = (lambda *a, **k: self.healthy(*a, **k) * np.nan) if sick else self.healthy  # type: ignore
        return super().step(index)


@pytest.fixture
def sick(tiny_config: GPTConfig, char_tokenizer: CharTokenizer) -> Callable[..., Sick]:
    def make_sick(*steps: int, cured_by_half: bool = True) -> Sick:
        trainer = make(tiny_config, char_tokenizer)
        trainer.__class__ = Sick
        return trainer.ill(*steps, cured_by_half=cured_by_half)

    return make_sick


def assert_equal_states(ours: Pretrainer, theirs: Pretrainer) -> None:
    """To the last bit, the moments too."""
    for name, array in theirs.model.state_dict().items():
        np.testing.assert_array_equal(array, ours.model.state_dict()[name], err_msg=name)
    for name, array in theirs.optimizer.state_arrays().items():
        np.testing.assert_array_equal(array, ours.optimizer.state_arrays()[name], err_msg=name)


def test_a_step_that_is_not_finite_is_skipped_and_said(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer, sick: Callable[..., Sick]
) -> None:
    log, partial = files(tmp_path)
    trainer, console = sick(3, 9, 10, 11, 12, LAST), quiet()
    history = run_trainer(trainer, log, partial, console)
    straight = make(tiny_config, char_tokenizer)
    for index in range(LAST):
        if index + 1 not in trainer.steps:
            straight.step(index)
    assert_equal_states(trainer, straight)
    assert [record["step"] for record in history.skipped] == [3, 9, 10, 11, 12, LAST] and not history.warnings
    assert [record["step"] for record in history.evaluations] == [0, 4, 8, 12, 16, 20, 21]
    assert read_history(log) == history and not read_history(log).notes
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said.count("is skipped") == 6 and "pretrain step 3 is skipped: the loss is nan" in said


@pytest.mark.parametrize(("save_every_seconds", "good"), [(0, 9), (1000, 0)])
def test_after_several_in_a_row_the_run_goes_back_with_half_the_learning_rate(
    tmp_path: Path,
    tiny_config: GPTConfig,
    char_tokenizer: CharTokenizer,
    sick: Callable[..., Sick],
    save_every_seconds: float,
    good: int,
) -> None:
    log, partial = files(tmp_path)
    trainer, console = sick(*range(10, 15)), quiet()
    history = run_trainer(trainer, log, partial, console, save_every_seconds=save_every_seconds)
    straight = make(tiny_config, char_tokenizer)
    for index in range(LAST):
        if index == good:
            straight.scale_learning_rates(0.5)
        straight.step(index)
    assert_equal_states(trainer, straight)
    assert [record["step"] for record in history.steps] == list(range(1, LAST + 1)) and not history.skipped
    assert [record["step"] for record in history.evaluations] == [0, 4, 8, 12, 16, 20, 21]
    text = f"5 steps in a row were skipped up to step 14: back to step {good}, with half the learning rate"
    assert history.warnings == [{"kind": "warning", "step": good, "sign": "diverged", "text": text}]
    assert f"warning: pretrain step {good}: diverged: {text}" in console.file.getvalue()  # type: ignore[attr-defined]
    assert read_history(log) == history
    rates = [cosine_schedule(index, LAST, straight.settings.lr, 2) for index in range(LAST)]
    halved = [rate * (0.5 if index >= good else 1) for index, rate in enumerate(rates)]
    assert [record["lr"] for record in history.steps] == halved


def test_killed_after_it_went_back_the_run_goes_on_with_half_the_learning_rate(
    tmp_path: Path, sick: Callable[..., Sick]
) -> None:
    whole, log, partial = sick(*range(10, 15)), *files(tmp_path / "killed")
    run_trainer(whole, *files(tmp_path / "whole"), quiet())

    class Killed(Sick):
        def step(self, index: int) -> Metrics:
            if self.lr_scale < 1:
                raise SystemExit
            return super().step(index)

    killed = sick(*range(10, 15))
    killed.__class__ = Killed
    with pytest.raises(SystemExit):
        run_trainer(killed, log, partial, quiet())
    metadata = read_arrays(partial)[1]
    assert (metadata["step"], metadata["lr_scale"]) == ("0", "0.5")
    resumed = sick(*range(10, 15))
    run_trainer(resumed, log, partial, quiet(), resume=True)
    assert_equal_states(resumed, whole)
    assert lines(log) == lines(files(tmp_path / "whole")[0])


def test_a_run_that_diverges_again_ends_in_one_line(tmp_path: Path, sick: Callable[..., Sick]) -> None:
    log, partial = files(tmp_path)
    with pytest.raises(UserError) as caught:
        run_trainer(sick(*range(3, 99), cured_by_half=False), log, partial, quiet(), save_every_seconds=0)
    assert str(caught.value) == (
        "pretrain, step 7: 5 steps in a row were skipped, at half the learning rate too: "
        "the loss is nan: the run has diverged, try a smaller learning rate"
    )
    history = read_history(log)
    assert [record["step"] for record in history.skipped] == [3, 4, 5, 6, 7] and len(history.warnings) == 1
    assert read_arrays(partial)[1]["step"] == "2"


def test_a_run_of_skipped_steps_alone_is_not_finished(tmp_path: Path, sick: Callable[..., Sick]) -> None:
    trainer = sick(1, 2, 3, cured_by_half=False)
    trainer.total_steps = 3
    with pytest.raises(UserError, match="pretrain, step 3: 3 steps in a row were skipped"):
        run_trainer(trainer, *files(tmp_path), quiet())


def test_weights_that_are_ruined_end_the_run(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer
) -> None:
    class Diverged(Pretrainer):
        def step(self, index: int) -> Metrics:
            self.model.transformer.wte.weight.data[:] = np.inf
            return super().step(index)

    trainer = make(tiny_config, char_tokenizer, evaluate_every=100)
    trainer.__class__ = Diverged
    with pytest.raises(UserError, match=r"pretrain, step 5: .*learning rate"), np.errstate(all="ignore"):
        run_trainer(trainer, *files(tmp_path), quiet())


def test_the_state_is_saved_now_and_then_and_the_finished_run_leaves_it_to_the_caller(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved: list[int] = []
    monkeypatch.setattr(loop, "save_state", lambda trainer, path, step: saved.append(step))
    trainer = make(tiny_config, char_tokenizer)
    run_trainer(trainer, *files(tmp_path), quiet(), save_every_seconds=0)
    assert saved == list(range(trainer.total_steps + 1))
    saved.clear()
    run_trainer(make(tiny_config, char_tokenizer), *files(tmp_path), quiet(), save_every_seconds=1000)
    assert saved == [0, trainer.total_steps]


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer) -> None:
    class Impatient(Pretrainer):
        def step(self, index: int) -> Metrics:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            return super().step(index)

    trainer = make(tiny_config, char_tokenizer)
    trainer.__class__ = Impatient
    with pytest.raises(KeyboardInterrupt):
        run_trainer(trainer, *files(tmp_path), quiet())
    assert read_arrays(partial_file(tmp_path, "pretrain"))[1]["step"] == "0"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_it_trains_in_a_thread_where_ctrl_c_does_not_arrive(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer
) -> None:
    trainer = make(tiny_config, char_tokenizer)
    with ThreadPoolExecutor(1) as pool:
        history = pool.submit(run_trainer, trainer, *files(tmp_path), quiet()).result()
    assert len(history.steps) == trainer.total_steps


def test_a_warning_sign_is_said_and_logged_once(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer
) -> None:
    class Worried(Pretrainer):
        def warning_signs(self, history: History) -> dict[str, str]:
            return {"too many steps": "stop [here]"} if len(history.steps) > 2 else {}

    trainer = make(tiny_config, char_tokenizer)
    trainer.__class__ = Worried
    console = quiet()
    history = run_trainer(trainer, *files(tmp_path), console)
    assert history.warnings == [{"kind": "warning", "step": 3, "sign": "too many steps", "text": "stop [here]"}]
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said.count("warning: pretrain step 3: too many steps: stop [here]") == 1


def test_what_a_model_writes_is_shown_and_not_obeyed(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Pretrainer, "sample", lambda self: "a\x1b[2Jb")
    console = Console(file=io.StringIO(), width=100)
    run_trainer(make(tiny_config, char_tokenizer, epochs=0.1), *files(tmp_path), console)
    printed = console.file.getvalue()
    assert "a␛[2Jb" in printed and "\x1b[2J" not in printed


def test_a_log_gets_whole_lines_with_step_loss_speed_and_time_left(
    tmp_path: Path, tiny_config: GPTConfig, char_tokenizer: CharTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "EVERY", 0.001)
    console = Console(file=io.StringIO(), width=20)
    run_trainer(make(tiny_config, char_tokenizer, epochs=2), *files(tmp_path), console)
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    progress = [line for line in printed.splitlines() if "tokens/s" in line]
    assert progress and re.fullmatch(r"pretrain \d+/\d+  loss \d+\.\d{3}  [\d,]+ tokens/s  \d+:\d\d left", progress[-1])
    assert "\r" not in printed and "\x1b" not in printed
    measured = next(line for line in printed.splitlines() if "held out" in line)
    assert measured.count("  ") >= 2  # in one line, whatever the width of a log is taken for


@pytest.mark.parametrize("width", [40, 80, 100, 200])
def test_bar_and_time_left_fit_every_terminal(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    with Progress(*_columns(width), console=console, auto_refresh=False) as progress:
        bar = progress.add_task("pretrain", total=8053, completed=0, status="loss 5.123  21,000 tokens/s")
        progress.update(bar, completed=4000, status="loss 5.123  21,000 tokens/s")
        progress.refresh()
        shown = console.render_lines(progress.get_renderable())
    text = "".join(segment.text for line in shown for segment in line)
    assert "pretrain" in text and "4000/8053" in text and "left" in text and "-:--:--" in text
    assert len(shown) == 1 and ("loss 5.123  21,000 tokens/s" in text) == (width >= 100)


def test_time_is_short() -> None:
    assert [time_text(seconds) for seconds in (4.6, 75, 3725)] == ["0:05", "1:15", "1:02:05"]


# -- the best on the way --------------------------------------------------------------------------------------
LOSSES = [9.0, 7.0, 5.0, 6.0, 5.0, 4.0, 4.5, 4.0, 8.0, 8.0, 8.0]
"""Held out, after every second step: best after ten, if it is let go on so far."""


class Scripted(Trainer):
    """One weight, which counts the steps; what is measured stands above. It can be killed before a step or a measure."""

    name, total_steps, evaluate_every = "scripted", 20, 2

    def __init__(self, killed: tuple[str, int] = ("", 0)) -> None:
        super().__init__()
        self.counter = Linear(np.zeros((1, 1), np.float32), np.zeros(1, np.float32))
        self.modules = {"counter": self.counter}
        self.killed = killed

    @property
    def made(self) -> int:
        return int(self.counter.weight.data[0, 0])

    def step(self, index: int) -> Metrics:
        assert index == self.made
        self._killed_in("step")
        self.counter.weight.data += 1
        return {"tokens": 1.0}

    def evaluate(self) -> Metrics:
        self._killed_in("evaluate")
        return {"loss": LOSSES[self.made // 2]}

    def sample(self) -> str:
        return "…"

    def _killed_in(self, call: str) -> None:
        if self.killed == (call, self.made):
            raise SystemExit


def best_of(trainer: Trainer) -> tuple[int, float, float]:
    assert trainer.best is not None
    return trainer.best.step, trainer.best.value, float(trainer.best.weights["weight"][0, 0])


@pytest.mark.parametrize(
    ("early_stop", "last", "best"),
    [(None, 20, (10, 4.0, 10.0)), (1, 6, (4, 5.0, 4.0)), (2, 8, (4, 5.0, 4.0)), (3, 16, (10, 4.0, 10.0)), (5, 20, (10, 4.0, 10.0))],
)  # fmt: skip
def test_a_run_keeps_its_best_and_ends_once_it_is_past_it(
    tmp_path: Path, early_stop: int | None, last: int, best: tuple[int, float, float]
) -> None:
    log, partial = files(tmp_path)
    trainer, console = Scripted(), quiet()
    history = run_trainer(trainer, log, partial, console, early_stop=early_stop)
    assert trainer.made == history.steps[-1]["step"] == last and read_arrays(partial)[1]["step"] == str(last)
    assert best_of(trainer) == best
    said = console.file.getvalue()  # type: ignore[attr-defined]
    if last == 20:  # five measurements without a better one after the tenth step are just as many as there are
        assert not history.stopped and "stopped" not in said
        return
    text = f"loss was {best[1]:.4g} at step {best[0]} and has not been better since; {20 - last} of 20 steps are left out"
    assert history.stopped == [{"kind": "stopped", "step": last, "text": text}] == read_history(log).stopped
    assert f"scripted is stopped early at step {last}: {text}" in said


@pytest.mark.parametrize("save_every_seconds", [0, 1000])
@pytest.mark.parametrize("early_stop", [2, 3, None])
def test_killed_anywhere_a_run_has_the_same_best_and_the_same_end(
    tmp_path: Path, early_stop: int | None, save_every_seconds: float
) -> None:
    straight, whole = Scripted(), tmp_path / "whole"
    run_trainer(straight, *files(whole), quiet(), early_stop=early_stop)
    moments = [(call, made) for made in range(straight.made + 1) for call in ("step", "evaluate")]
    killed = 0
    for moment in moments:
        log, partial = files(tmp_path / "_".join(map(str, moment)))
        for again in (moment, ("step", 7), ("evaluate", 8)):
            try:
                run_trainer(
                    Scripted(again), log, partial, quiet(), resume=True,
                    save_every_seconds=save_every_seconds, early_stop=early_stop,
                )  # fmt: skip
            except SystemExit:
                killed += 1
        resumed = Scripted()
        run_trainer(resumed, log, partial, quiet(), resume=True, early_stop=early_stop)
        assert best_of(resumed) == best_of(straight) and resumed.made == straight.made, moment
        assert lines(log) == lines(files(whole)[0]), moment
    assert killed > len(moments)


def test_a_run_that_goes_back_forgets_what_it_measured_after(tmp_path: Path) -> None:
    class Sickly(Scripted):
        def step(self, index: int) -> Metrics:
            if self.lr_scale == 1 and index >= 10:
                self.counter.weight.data += 1  # as if it had been made, and then its loss were not finite
                raise FloatingPointError("sick")
            return super().step(index)

        def evaluate(self) -> Metrics:
            return {"loss": 1.0 if self.lr_scale == 1 and self.made > 10 else super().evaluate()["loss"]}

    trainer = Sickly()
    run_trainer(trainer, *files(tmp_path), quiet(), save_every_seconds=0)
    assert best_of(trainer) == (10, 4.0, 10.0)  # and not what was measured on the way that led nowhere
