"""The unfinished state of a stage: everything that a trainer needs to go on, and nothing of another's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scratchgpt import autograd as ag
from scratchgpt.autograd import Tensor
from scratchgpt.errors import UserError
from scratchgpt.nn.modules import Linear
from scratchgpt.nn.optimizers import AdamW
from scratchgpt.training.checkpoints import read_arrays, write_arrays
from scratchgpt.training.history import Metrics
from scratchgpt.training.state import load_state, save_state
from scratchgpt.training.trainer import Trainer


class TwoModels(Trainer):
    """Two modules and their optimizers, and an array of the trainer's own."""

    name, total_steps, evaluate_every = "two", 9, 9
    fingerprint = "lr=0.1"

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        for key in ("policy", "value"):
            module = Linear(rng.standard_normal((3, 2), dtype=np.float32), np.zeros(2, np.float32))
            self.modules[key] = module
            self.optimizers[key] = AdamW(module.named_parameters(), lr=0.1)
        self.solved = np.zeros(4)

    def step(self, index: int) -> Metrics:
        """Pull every weight towards the step's own target."""
        for key, module in self.modules.items():
            target = Tensor(np.full((1, 2), index, dtype=np.float32))
            error = module(Tensor(np.ones((1, 3), dtype=np.float32))) - target
            ag.mean(error * error).backward()
            self.optimizers[key].step(1.0)
            self.optimizers[key].zero_grad()
        self.solved[index % 4] += 1
        return {"tokens": 1.0}

    def extra_arrays(self) -> dict[str, np.ndarray]:
        return {"solved": self.solved}

    def load_extra_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        self.solved = arrays["solved"]


def weights(trainer: Trainer) -> dict[str, np.ndarray]:
    return {
        f"{key}.{name}": parameter.data.copy()
        for key, module in trainer.modules.items()
        for name, parameter in module.named_parameters()
    }


def test_a_trainer_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    path = tmp_path / "two.partial.safetensors"
    straight, stopped = TwoModels(0), TwoModels(0)
    for step in range(6):
        straight.step(step)
    for step in range(3):
        stopped.step(step)
    save_state(stopped, path, 3)

    resumed = TwoModels(1)
    assert load_state(resumed, path) == 3
    for step in range(3, 6):
        resumed.step(step)
    assert weights(resumed).keys() == weights(straight).keys() and len(weights(straight)) == 4
    for name, array in weights(straight).items():
        np.testing.assert_array_equal(weights(resumed)[name], array, err_msg=name)
    np.testing.assert_array_equal(resumed.solved, straight.solved)


def test_the_file_says_step_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "two.partial.safetensors"
    save_state(TwoModels(0), path, 7)
    arrays, metadata = read_arrays(path)
    assert metadata == {"step": "7", "fingerprint": "lr=0.1", "lr_scale": "1.0"}
    assert {name.split(".")[0] for name in arrays} == {"modules", "optimizers", "extra"}


def test_other_settings_are_refused_and_change_nothing(tmp_path: Path) -> None:
    path = tmp_path / "two.partial.safetensors"
    save_state(TwoModels(0), path, 3)
    other = TwoModels(1)
    other.fingerprint = "lr=0.2"
    before = weights(other)
    with pytest.raises(UserError, match=r"two\.partial\.safetensors: was made with other settings; resume with the flags"):
        load_state(other, path)
    for name, array in before.items():
        np.testing.assert_array_equal(weights(other)[name], array)


def test_a_file_that_says_nothing_of_its_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "two.partial.safetensors"
    write_arrays(path, {"a": np.zeros(1)}, {"step": "3"})
    with pytest.raises(UserError, match="other settings"):
        load_state(TwoModels(0), path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "two.partial.safetensors"
    path.write_bytes(b"junk")
    with pytest.raises(UserError, match="damaged"):
        load_state(TwoModels(0), path)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (None, "no step"),
        ("", "no step"),
        ("-1", "step '-1' of 9"),
        ("10", "step '10' of 9"),
        ("3.0", "step '3.0' of 9"),
        (" 3", "step ' 3' of 9"),
        ("\u0663", "step '\u0663' of 9"),
        ("three", "step 'three' of 9"),
        ("9" * 5000, f"step '{'9' * 20}' of 9"),
    ],
)
def test_a_step_that_cannot_be_is_damage_and_changes_nothing(tmp_path: Path, step: str | None, said: str) -> None:
    path = tmp_path / "two.partial.safetensors"
    save_state(TwoModels(0), path, 3)
    arrays, metadata = read_arrays(path)
    write_arrays(path, arrays, {"fingerprint": metadata["fingerprint"]} | ({} if step is None else {"step": step}))
    trainer = TwoModels(1)
    before = weights(trainer)
    with pytest.raises(UserError) as caught:
        load_state(trainer, path)
    assert str(caught.value) == f"{path}: damaged ({said}); leave out --resume to start the stage anew"
    for name, array in before.items():
        np.testing.assert_array_equal(weights(trainer)[name], array)


@pytest.mark.parametrize("step", [0, 9])
def test_the_beginning_and_the_end_are_steps_too(tmp_path: Path, step: int) -> None:
    path = tmp_path / "two.partial.safetensors"
    save_state(TwoModels(0), path, step)
    assert load_state(TwoModels(1), path) == step


def test_a_halved_learning_rate_stays_halved(tmp_path: Path) -> None:
    path = tmp_path / "two.partial.safetensors"
    trainer, resumed = TwoModels(0), TwoModels(1)
    trainer.scale_learning_rates(0.5)
    save_state(trainer, path, 3)
    load_state(resumed, path)
    for of_both in (trainer, resumed):
        assert of_both.lr_scale == 0.5 and [o.rate for o in of_both.optimizers.values()] == [0.05, 0.05]


def test_a_state_from_before_there_was_a_scale_has_the_whole_rate(tmp_path: Path) -> None:
    path = tmp_path / "two.partial.safetensors"
    save_state(TwoModels(0), path, 3)
    arrays, metadata = read_arrays(path)
    del metadata["lr_scale"]
    write_arrays(path, arrays, metadata)
    resumed = TwoModels(1)
    assert load_state(resumed, path) == 3 and resumed.lr_scale == 1


def test_the_best_measurement_so_far_comes_back_to_the_bit(tmp_path: Path) -> None:
    path = tmp_path / "two.partial.safetensors"
    trainer, resumed = TwoModels(0), TwoModels(1)
    trainer.compare(2, {"loss": 0.1 + 0.2})
    trainer.step(2)
    save_state(trainer, path, 3)
    load_state(resumed, path)
    assert resumed.best is not None and trainer.best is not None
    assert (resumed.best.step, resumed.best.value) == (2, 0.1 + 0.2)
    assert resumed.best.weights.keys() == {"weight", "bias"}
    for name, array in trainer.best.weights.items():
        np.testing.assert_array_equal(resumed.best.weights[name], array)
    np.testing.assert_array_equal(resumed.product()["weight"], trainer.product()["weight"])
    save_state(TwoModels(0), path, 0)  # where the run goes back to what was measured nowhere
    load_state(resumed, path)
    assert resumed.best is None


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"best_step": "4"}, "best_step '4' of 3"),
        ({"best_step": "-1"}, "best_step '-1' of 3"),
        ({"best_value": "low"}, "best_value is no number"),
        ({"best_value": "nan"}, "best_value is no number"),
        ({"best_value": None}, "best_value is no number"),
        ({"arrays": {"best.weight": np.zeros((2, 3), np.float32)}}, "the best weights do not fit the model"),
        ({"arrays": {"best.other": np.zeros(1, np.float32)}}, "the best weights do not fit the model"),
    ],
)
def test_a_best_that_cannot_be_is_damage_and_changes_nothing(tmp_path: Path, changed: dict, said: str) -> None:
    path = tmp_path / "two.partial.safetensors"
    saved, trainer = TwoModels(0), TwoModels(1)
    saved.compare(2, {"loss": 1.0})
    save_state(saved, path, 3)
    arrays, metadata = read_arrays(path)
    metadata |= {name: value for name, value in changed.items() if name != "arrays"}
    metadata = {name: value for name, value in metadata.items() if value is not None}
    write_arrays(path, {**arrays, **changed.get("arrays", {})}, metadata)
    before = weights(trainer)
    with pytest.raises(UserError) as caught:
        load_state(trainer, path)
    assert str(caught.value) == f"{path}: damaged ({said}); leave out --resume to start the stage anew"
    for name, array in before.items():
        np.testing.assert_array_equal(weights(trainer)[name], array)
    assert trainer.best is None


@pytest.mark.parametrize("lr_scale", ["", "half", "0", "-0.5", "2", "nan", "inf"])
def test_a_scale_that_cannot_be_is_damage(tmp_path: Path, lr_scale: str) -> None:
    path = tmp_path / "two.partial.safetensors"
    save_state(TwoModels(0), path, 3)
    arrays, metadata = read_arrays(path)
    write_arrays(path, arrays, {**metadata, "lr_scale": lr_scale})
    with pytest.raises(UserError, match=r"two\.partial\.safetensors: damaged \(lr_scale '.*'\); leave out --resume"):
        load_state(TwoModels(1), path)
