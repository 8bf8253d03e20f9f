"""Talking in the terminal: turns are kept, commands obeyed, and mistakes cost a line, not the dialogue."""

from __future__ import annotations

import pytest

from scratchgpt.cli.conversation import CONTINUES, NO_ANSWER, Conversation, answer_once, talk
from scratchgpt.errors import UserError
from scratchgpt.inference.sampling import SamplingConfig
from scratchgpt.inference.text import TextGenerator

pytestmark = pytest.mark.usefixtures("numpy_kernels")
GREEDY = SamplingConfig(temperature=0.0)
TOO_LONG = "猫" * 80


@pytest.fixture
def conversation(out):
    return Conversation(out, None, GREEDY, max_length=6)


@pytest.fixture
def dialogue(conversation, capsys):
    """What a dialogue of these lines shows, between the greeting and the goodbye."""

    def run(*lines: str | type[BaseException]) -> str:
        script = iter(lines)

        def read(prompt: str) -> str:
            line = next(script, EOFError)
            if isinstance(line, str):
                return line
            raise line

        talk(conversation, read)
        shown = capsys.readouterr().out.rstrip("\n").split("\n")
        assert shown[-1].startswith("再见")
        return "\n".join(shown[3:-1])

    return run


# -- turns --------------------------------------------------------------------------------------------------
def test_the_most_advanced_stage_talks(conversation, out):
    assert conversation.stage == "rlhf"
    assert Conversation(out, "sft", GREEDY).stage == "sft"


def test_turns_are_kept_and_the_model_sees_them(conversation, monkeypatch):
    seen = []
    real = TextGenerator.stream_chat

    def watched(self, messages, **settings):
        seen.append(messages)
        return real(self, messages, **settings)

    monkeypatch.setattr(TextGenerator, "stream_chat", watched)
    answer = "".join(conversation.say("你好"))
    assert answer
    list(conversation.say("猫"))
    user = {"role": "user", "content": "你好"}
    assert seen == [[user], [user, {"role": "assistant", "content": answer}, {"role": "user", "content": "猫"}]]
    assert [message["role"] for message in conversation.messages] == ["user", "assistant"] * 2


def test_the_same_seed_gives_the_same_answers(out):
    def answers(seed: int) -> list[str]:
        talker = Conversation(out, "sft", SamplingConfig(temperature=5.0), max_length=12, seed=seed)
        return ["".join(talker.say("猫")), "".join(talker.say("狗"))]

    assert answers(3) == answers(3) != answers(4)


def test_a_dialogue_streams_answers_and_ignores_empty_lines(dialogue, conversation):
    shown = dialogue("", "你好", "   ", "猫")
    answers = [message["content"] for message in conversation.messages if message["role"] == "assistant"]
    assert shown.split("\n")[:2] == [f"AI> {answer}" for answer in answers]
    assert len(answers) == 2


def test_a_line_of_what_nobody_sees_is_an_empty_line(dialogue, conversation):
    shown = dialogue("\u200b", "\ufeff你\u200b好")
    assert [message["content"] for message in conversation.messages[::2]] == ["你好"]
    assert shown.count("AI> ") == 1


def test_a_prompt_is_answered_without_what_nobody_sees(conversation, capsys):
    answer_once(conversation, "你好")
    plain = capsys.readouterr()
    conversation.reset()
    answer_once(conversation, "\ufeff你好")
    hidden = capsys.readouterr()
    assert hidden.out == plain.out and not plain.err
    assert hidden.err.strip().endswith("left out: 1 invisible character (1 U+FEFF byte-order mark)")
    with pytest.raises(UserError, match="is empty"):
        answer_once(conversation, "\u200b")


def test_an_answer_without_text_is_noted(dialogue, monkeypatch):
    monkeypatch.setattr(TextGenerator, "stream_chat", lambda self, messages, **kw: iter([]))
    assert NO_ANSWER in dialogue("你好")


def test_a_prompt_longer_than_the_context_is_said_and_dropped(dialogue, conversation):
    shown = dialogue("你好", TOO_LONG)
    assert "the model's context only 64" in shown and shown.count("AI> ") == 1
    assert len(conversation.messages) == 2


@pytest.mark.parametrize("leave", ["/quit", EOFError, KeyboardInterrupt])
def test_every_way_out_is_polite(dialogue, conversation, leave):
    dialogue(leave, "你好")
    assert conversation.messages == []


def test_interrupting_an_answer_leaves_politely(dialogue, monkeypatch):
    def interrupted(self, messages, **kw):
        yield "半"
        raise KeyboardInterrupt

    monkeypatch.setattr(TextGenerator, "stream_chat", interrupted)
    assert "AI> 半" in dialogue("你好")


# -- commands -----------------------------------------------------------------------------------------------
def test_help_names_every_command(dialogue):
    shown = dialogue("/help")
    assert all(command in shown for command in ("/help", "/reset", "/stage sft", "/temperature 0.8", "/quit"))


def test_reset_forgets(dialogue, conversation):
    dialogue("你好", "/reset")
    assert conversation.messages == []


def test_stage_changes_the_model_and_begins_anew(dialogue, conversation):
    before = conversation.generator.model
    shown = dialogue("你好", "/stage sft")
    assert conversation.stage == "sft" and conversation.generator.model is not before
    assert conversation.messages == [] and "sft" in shown


@pytest.mark.parametrize(
    ("line", "fragment"),
    [("/stage rlvf", "no checkpoint"), ("/stage dpo", "no stage 'dpo'"), ("/stage", "no stage ''")],
)
def test_a_stage_that_is_not_there_changes_nothing(dialogue, conversation, line, fragment):
    shown = dialogue("你好", line)
    assert fragment in shown
    assert conversation.stage == "rlhf" and len(conversation.messages) == 2


def test_temperature_is_set(dialogue, conversation):
    dialogue("／temperature 0.8")  # as a Chinese keyboard types it
    assert conversation.sampling.temperature == 0.8


@pytest.mark.parametrize("value", ["warm", "", "-1", "nan"])
def test_a_wrong_temperature_changes_nothing(dialogue, conversation, value):
    assert "temperature" in dialogue(f"/temperature {value}")
    assert conversation.sampling == GREEDY


def test_an_unknown_command_is_said(dialogue, conversation):
    assert "There is no command /dance" in dialogue("/dance now")
    assert conversation.messages == []


# -- a model that is only pretrained -------------------------------------------------------------------------
def test_a_pretrained_model_continues(out, capsys):
    talker = Conversation(out, "pretrain", GREEDY, max_length=4)
    answer_once(talker, "小猫")
    captured = capsys.readouterr()
    assert captured.out.startswith("小猫") and len(captured.out.strip()) > 2
    assert captured.err.strip() == CONTINUES
    assert talker.messages == []


def test_an_unknown_stage_is_a_mistake(out):
    with pytest.raises(UserError, match="no stage 'reward'"):
        Conversation(out, "reward", GREEDY)


# -- the terminal ---------------------------------------------------------------------------------------------
def test_control_characters_of_a_model_are_shown_and_not_obeyed(conversation, dialogue, capsys, monkeypatch):
    monkeypatch.setattr(TextGenerator, "stream_chat", lambda self, messages, **settings: iter(["\x1b[2J", "好\x9b"]))
    assert "AI> ␛[2J好⟨U+009B⟩" in dialogue("你好")
    answer_once(conversation, "你好")
    assert capsys.readouterr().out == "␛[2J好⟨U+009B⟩\n"
    assert conversation.messages[-1]["content"] == "\x1b[2J好\x9b"  # the model is shown what it said
