"""RLVF: group advantages, the choice of tasks, a task with a known optimum, resuming."""

import dataclasses

import numpy as np
import pytest

from scratchgpt.autograd import Tensor
from scratchgpt.config import RLVFConfig
from scratchgpt.errors import UserError
from scratchgpt.evaluation import answering
from scratchgpt.evaluation.measures import is_right
from scratchgpt.evaluation.rollouts import Rollouts
from scratchgpt.stages import rlvf
from scratchgpt.stages.rlvf import RLVFTrainer, SuccessRates, group_advantages, grpo_token_loss
from scratchgpt.tokenizer import IM_END_ID
from scratchgpt.training.state import load_state, save_state
from tests.rl_helpers import digit_tokenizer, tiny_policy

TASKS = [
    {"type": "math", "prompt": "1", "expected_answer": "7", "family": "one", "level": 1},
    {"type": "math", "prompt": "2", "expected_answer": "7", "family": "two", "level": 1},
]
SETTINGS = RLVFConfig(
    num_iterations=4, samples_per_task=64, tasks_per_iteration=2, minibatch_size=64, max_new_tokens=4, lr=2e-3
)


def make_trainer(settings: RLVFConfig = SETTINGS, tasks=TASKS, heldout=TASKS, seed=0, dropout=0.1) -> RLVFTrainer:
    tokenizer = digit_tokenizer("1237")
    model = tiny_policy(tokenizer, context_size=128, dropout=dropout)
    return RLVFTrainer(model, tokenizer, model.config, settings, tasks, heldout, seed)


def test_group_advantages_equal_pytorch():
    torch = pytest.importorskip("torch")
    rewards = np.random.default_rng(0).choice([1.0, -0.5], (12, 8))
    grouped = torch.tensor(rewards).view(-1)
    baseline = grouped.view(-1, 8).mean(dim=1).repeat_interleave(8)
    np.testing.assert_allclose(group_advantages(rewards).reshape(-1), (grouped - baseline).numpy(), atol=1e-12)


def test_group_advantages_by_hand():
    found = group_advantages(np.array([[1.0, -0.5, -0.5], [1.0, 1.0, 1.0]]))
    np.testing.assert_allclose(found, [[1.0, -0.5, -0.5], [0, 0, 0]])


def test_token_loss_equals_pytorch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    old, reference = -rng.random(300) * 3, -rng.random(300) * 3
    advantages = rng.normal(size=300)
    logprobs = Tensor(old + rng.normal(0, 0.3, 300), requires_grad=True)
    loss = grpo_token_loss(logprobs, old, reference, advantages, 0.2, 0.3)
    loss.mean().backward()

    new = torch.tensor(logprobs.data, requires_grad=True)
    ratio = torch.exp(new - torch.tensor(old))
    gain = torch.tensor(advantages)
    surrogate = torch.min(ratio * gain, torch.clamp(ratio, 0.8, 1.2) * gain)
    odds = torch.exp(torch.tensor(reference)) / torch.exp(new)
    expected = -(surrogate - 0.3 * (odds - torch.log(odds) - 1))
    expected.mean().backward()
    np.testing.assert_allclose(loss.data, expected.detach().numpy(), rtol=0, atol=1e-12)
    np.testing.assert_allclose(logprobs.grad, new.grad.numpy(), rtol=0, atol=1e-12)


def test_each_iteration_is_recorded():
    trainer = make_trainer(dataclasses.replace(SETTINGS, max_new_tokens=20))
    metrics = trainer.step(0)
    np.testing.assert_array_equal(trainer.success.answered, [64, 64])
    assert trainer.success.right.sum() == pytest.approx(metrics["accuracy"] * 128)
    assert metrics["accuracy"] == (metrics["accuracy/one"] + metrics["accuracy/two"]) / 2 > 0
    assert metrics["reward"] == pytest.approx(1.5 * metrics["accuracy"] - 0.5)


def test_tasks_are_drawn_by_how_unsettled_their_kind_is():
    tasks = [{"type": "math", "family": f, "level": 1} for f in ("never", "half", "half", "always")]
    success = SuccessRates(tasks)
    np.testing.assert_allclose(success.draw_probabilities(), 0.25)
    for _ in range(30):
        success.record(np.array([0, 1, 3]), np.repeat([[False, False], [True, False], [True, True]], 4, axis=1))
    never, half, same, always = success.draw_probabilities()
    assert half == same and half > 3 * never and half > 3 * always and min(never, always) > 0.02
    rates = dict(zip(success.names, success.rates(), strict=True))
    assert rates["never/1"] < 0.1 < rates["half/1"] == 0.5 < 0.9 < rates["always/1"]


def test_success_rates_forget():
    success = SuccessRates([{"type": "math", "family": "f"}])
    for right in (False, True):
        for _ in range(20):
            success.record(np.array([0]), np.full((1, 8), right))
    assert success.rates()[0] > 0.9


def test_rlvf_finds_the_right_answers_from_random_weights():
    trainer = make_trainer(dataclasses.replace(SETTINGS, num_iterations=30, lr=3e-3, kl_coef=0.0, target_kl=0.5))
    before = trainer.evaluate(TASKS)["accuracy"]
    metrics = trainer.train()
    assert before == 0 and metrics[0]["accuracy"] < 0.2
    assert metrics[-1]["accuracy"] > 0.9
    after = trainer.evaluate(TASKS)
    assert after["accuracy"] == after["accuracy/one"] == after["accuracy/two"] == 1 and after["items"] == 2
    assert trainer.sample().endswith("[right]")


def test_kl_penalty_keeps_the_policy_near_the_reference():
    def kl_after(kl_coef: float) -> float:
        settings = dataclasses.replace(SETTINGS, kl_coef=kl_coef, num_iterations=20, lr=3e-3)
        return make_trainer(settings).train()[-1]["objective/kl"]

    assert kl_after(1.0) < 0.5 * kl_after(0.0)


def test_groups_without_variance_are_dropped():
    impossible = [{"type": "math", "prompt": "1", "expected_answer": "123456"}]
    trainer = make_trainer(tasks=impossible)
    before = trainer.model.state_dict()
    metrics = trainer.step(0)
    assert metrics["groups_used"] == 0 and metrics["accuracy"] == 0 and metrics["reward"] == -0.5
    assert all(np.array_equal(before[name], array) for name, array in trainer.model.state_dict().items())


def test_only_finished_answers_count():
    trainer = make_trainer(dataclasses.replace(SETTINGS, max_new_tokens=1))  # a digit, and no room to end the turn
    assert trainer.step(0)["accuracy"] == 0


def test_the_measure_is_the_reward(monkeypatch):
    """Training does not pay for a right answer that never ends, and no measure counts it either."""
    trainer = make_trainer()
    seven = trainer.tokenizer.encode("7")
    for ending, right in ((IM_END_ID, True), (seven[0], False)):
        response = [*seven, ending] if right else seven
        monkeypatch.setattr(
            rlvf, "sample_responses", lambda _, prompts, *rest, r=response: Rollouts(prompts, [r] * 128)
        )
        monkeypatch.setattr(answering, "generate_batch", lambda _, prompts, *rest, r=response, **__: [r] * len(prompts))
        assert trainer.collect(0).correct.all() == right
        assert trainer.evaluate()["accuracy"] == right
        assert trainer.sample() == f"1 -> 7 [{'right' if right else 'wrong'}]"


def test_an_experience_fits_together():
    trainer = make_trainer(dataclasses.replace(SETTINGS, samples_per_task=96, max_new_tokens=12, lr=5e-3))
    trainer.step(0)
    experience = trainer.collect(1)
    assert experience.answers.prompts == [trainer.prompts[i] for i in experience.chosen for _ in range(96)]
    answers = experience.answers.answers(trainer.tokenizer)
    right = [is_right(TASKS[experience.chosen[i // 96]], answer) for i, answer in enumerate(answers)]
    np.testing.assert_array_equal(experience.correct.reshape(-1), right)
    np.testing.assert_array_equal(experience.rewards, np.where(experience.correct, 1.0, -0.5))
    np.testing.assert_array_equal(experience.advantages, group_advantages(experience.rewards))
    assert len(experience.used) == 192 and experience.rollouts.responses == experience.answers.responses
    np.testing.assert_array_equal(experience.kl, experience.logprobs - experience.reference_logprobs)
    assert np.abs(experience.kl).max() > 1e-3
    firsts = [advantages[0] for advantages in experience.rollouts.split(experience.token_advantages)]
    np.testing.assert_allclose(firsts, experience.advantages.reshape(-1), rtol=1e-6)
    assert len(experience.token_advantages) == len(experience.logprobs)


def test_only_groups_that_differ_are_learned_from():
    tasks = [{**TASKS[0], "expected_answer": "123456"}, TASKS[1]]
    trainer = make_trainer(dataclasses.replace(SETTINGS, max_new_tokens=12), tasks=tasks)
    experience = trainer.collect(0, [0, 1])
    assert not experience.correct[0].any() and experience.correct[1].any()
    assert experience.rollouts.responses == experience.answers.responses[64:]
    np.testing.assert_array_equal(experience.used, np.arange(64, 128))


def test_what_was_collected_can_be_learned_from_again():
    settings = dataclasses.replace(SETTINGS, max_new_tokens=12, minibatch_size=16)
    first, second = make_trainer(settings), make_trainer(settings)
    experience = first.collect(0)
    np.testing.assert_array_equal(first.success.answered, [0, 0])  # collecting changes nothing
    assert first.learn(experience) == second.learn(experience) == make_trainer(settings).step(0)
    assert experience.used.size
    for ours, theirs in zip(first.model.parameters(), second.model.parameters(), strict=True):
        np.testing.assert_array_equal(ours.data, theirs.data)


def test_nothing_has_moved_before_the_first_update_whatever_mode_the_model_is_in():
    settings = dataclasses.replace(
        SETTINGS, max_new_tokens=12, samples_per_task=8, minibatch_size=16, tasks_per_iteration=1
    )
    trainer = make_trainer(settings, tasks=TASKS[1:], dropout=0.5)
    experience = next(found for found in map(trainer.collect, range(50)) if len(found.used))
    trainer.model.train()
    metrics = trainer.learn(experience)
    assert metrics["policy/updates"] == 1 and metrics["policy/clipfrac"] == 0
    assert metrics["policy/approxkl"] == pytest.approx(0, abs=1e-7)


def test_the_reference_may_be_another_policy_than_the_one_in_training():
    tokenizer = digit_tokenizer("1237")
    model, reference = (tiny_policy(tokenizer, seed, context_size=128) for seed in (0, 5))
    trainer = RLVFTrainer(model, tokenizer, model.config, SETTINGS, TASKS, TASKS, reference=reference)
    assert trainer.reference is reference


def test_resuming_gives_bitwise_the_same_run(tmp_path):
    whole = make_trainer()
    expected = whole.train()
    assert sum(metrics["groups_used"] for metrics in expected[2:]) > 0
    first = make_trainer()
    for index in range(2):
        first.step(index)
    save_state(first, tmp_path / "partial.safetensors", 2)
    second = make_trainer()
    assert load_state(second, tmp_path / "partial.safetensors") == 2
    assert [second.step(index) for index in range(2, 4)] == expected[2:]
    for name, array in second.model.state_dict().items():
        np.testing.assert_array_equal(array, whole.model.state_dict()[name])


def test_mistakes_are_reported(tmp_path):
    with pytest.raises(UserError, match="no tasks to train on"):
        make_trainer(tasks=()).train()
    with pytest.raises(UserError, match="no held-out tasks"):
        make_trainer(heldout=()).evaluate()
    with pytest.raises(UserError, match="leaves no room"):
        make_trainer(tasks=[{**TASKS[0], "prompt": "1" * 130}])
    with pytest.raises(UserError, match="other tasks"):
        make_trainer().load_extra_arrays(make_trainer(tasks=TASKS[:1]).extra_arrays())


@pytest.mark.parametrize("wrong", [{"samples_per_task": 1}, {"incorrect_reward": 1.0}, {"kl_coef": -0.1}, {"lr": 0.0}])
def test_settings_out_of_range_are_reported_by_name(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        RLVFConfig(**wrong)
