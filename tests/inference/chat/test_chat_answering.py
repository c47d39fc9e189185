"""Answers as they are served: whole sentences of passages, or checked ones, or that there is nothing; never anything else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from aura.errors import InvalidRequestError
from inference.chat.answer import DECLINED, AnswerSentence
from inference.chat.answering import AnswerStream, checked_sentences
from inference.chat.choosing import ChoiceRule
from inference.chat.declining import DeclineRule
from inference.chat.model import ChatModel
from inference.chat.passages import ChatPassage
from inference.chat.reply import ReplyStream
from inference.chat.sentences import quotable_sentences
from inference.chat.settings import AnswerSettings
from inference.chat.support import SupportChecker
from inference.text_embedding import text_embedder_for
from tests.inference.chat.conftest import PROMPT
from tests.inference.chat.decline_rules import declines_all

ASK = [{"role": "user", "content": "What goes with brown shoes?"}]
WOOL = ChatPassage(source="Wool. Washing", text="Wash wool at 30 degrees. Dry it flat on a towel.", similarity=0.8)
SHOES = ChatPassage(source="Shoes", text="Brown shoes go with stone trousers.", similarity=0.6)
FAR = ChatPassage(source="Wool. Washing", text=WOOL.text, similarity=0.1)


def quoting(model: ChatModel, **rules: ChoiceRule | DeclineRule) -> ChatModel:
    """The model with other rules, and at most nine sentences."""
    return ChatModel(
        model.model, model.tokenizer, prompt=PROMPT, generation=model.generation, familiarity=model.familiarity,
        answers=model.answers.model_copy(update={"max_sentences": 9}), **rules,
    )  # fmt: skip


class TestQuoted:
    def test_the_likeliest_sentences_are_quoted_with_their_passages(self, tiny_chat: ChatModel) -> None:
        prompt = tiny_chat.prompts.choice_prompt(ASK, [WOOL, SHOES])
        scores = tiny_chat.choice.scores(tiny_chat.signs(prompt))
        answer = tiny_chat.answer(ASK, [WOOL, SHOES])
        told = list(answer)
        assert prompt.sentences[int(scores.argmax())].text in [sentence.text for sentence in told]
        assert all(sentence.status == "quoted" for sentence in told)
        assert all(sentence.text in [WOOL, SHOES][sentence.passage or 0].text for sentence in told)
        assert (answer.finish_reason, answer.declined, answer.dropped_messages) == ("stop", False, 0)
        assert (answer.prompt_tokens, answer.used_passages) == (prompt.length, 2)
        assert list(tiny_chat.answer(ASK, [WOOL, SHOES])) == told

    def test_rules_decide_as_they_are_fitted(self, tiny_chat: ChatModel) -> None:
        by_embedding = quoting(tiny_chat, choice=ChoiceRule(intercept=-40.0, posterior=0.0, in_context=100.0))
        assert [sentence.text for sentence in by_embedding.answer(ASK, [WOOL, SHOES])] == [SHOES.text]
        shoes = replace(SHOES, relevance=0.5)
        by_search = quoting(tiny_chat, choice=ChoiceRule(intercept=1.0, posterior=0.0, lag=-100.0))
        assert {sentence.passage for sentence in by_search.answer(ASK, [WOOL, shoes])} == {0}
        assert {sentence.passage for sentence in by_search.answer(ASK, [replace(WOOL, relevance=0.4), shoes])} == {1}
        never = quoting(tiny_chat, declines=declines_all())
        assert list(never.answer(ASK, [WOOL, SHOES])) == [DECLINED]

    @pytest.mark.parametrize(
        "passages", [[], [FAR], [ChatPassage(source="Wool", text=" ")]], ids=["none", "far", "blank"]
    )
    def test_where_nothing_answers_it_says_so(self, tiny_chat: ChatModel, passages: list[ChatPassage]) -> None:
        answer = tiny_chat.answer(ASK, passages)
        assert not answer.declined
        assert list(answer) == [DECLINED]
        assert (answer.declined, answer.finish_reason) == (True, "stop")

    @hypothesis_settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(data=st.data())
    def test_nothing_but_whole_sentences_of_the_passages_can_come_out(
        self, tiny_chat: ChatModel, data: st.DataObject
    ) -> None:
        words = st.sampled_from(["Wash", "wool", "They", "30 °C", "e.g.", "never", "<|im_end|>", "\n\n", "- ", "Crêpe"])
        text = st.lists(st.tuples(words, st.sampled_from([" ", ". ", "? "])).map("".join), max_size=8).map("".join)
        passages = data.draw(
            st.lists(
                st.builds(ChatPassage, source=st.just("Wool"), text=text, similarity=st.floats(0.2, 1)), max_size=3
            )
        )
        answer = list(tiny_chat.answer(ASK, passages))
        if answer == [DECLINED]:
            return
        assert 1 <= len(answer) <= 2
        for sentence in answer:
            assert sentence.passage is not None
            whole = quotable_sentences(passages[sentence.passage].text.replace("<|im_end|>", " "))
            assert sentence.text in whole
            assert sentence.status == "quoted"

    def test_at_most_and_from_a_probability_on(self, tiny_chat: ChatModel) -> None:
        everything = quoting(tiny_chat, choice=ChoiceRule(intercept=100.0))
        sentences = everything.prompts.choice_prompt(ASK, [WOOL, SHOES]).sentences
        told = list(everything.answer(ASK, [WOOL, SHOES]))
        assert sorted(one.text for one in told) == sorted(one.text for one in sentences)
        nothing = quoting(tiny_chat, choice=ChoiceRule(intercept=-100.0))
        assert len(list(nothing.answer(ASK, [WOOL, SHOES]))) == 1
        both = ChatModel(
            tiny_chat.model, tiny_chat.tokenizer, prompt=PROMPT, generation=tiny_chat.generation,
            answers=tiny_chat.answers, choice=ChoiceRule(intercept=100.0),
        )  # fmt: skip
        assert len(list(both.answer(ASK, [WOOL, SHOES]))) == both.answers.max_sentences == 2

    def test_a_base_declines_only_where_there_is_nothing(self, tiny_chat: ChatModel) -> None:
        base = ChatModel(tiny_chat.model, tiny_chat.tokenizer, prompt=PROMPT, generation=tiny_chat.generation)
        assert DECLINED not in list(base.answer(ASK, [FAR]))
        assert list(base.answer(ASK, [])) == [DECLINED]
        with pytest.raises(ValueError, match="knows no questions"):
            base.question_signs("How?", [FAR])


def spoken(model: ChatModel, text: str) -> ReplyStream:
    """A generated answer with these words."""
    ids: list[int] = [*model.tokenizer(text, add_special_tokens=False)["input_ids"], model.prompts.end_id]
    return ReplyStream(
        iter(ids),
        model.tokenizer,
        frozenset({model.prompts.end_id}),
        prompt_tokens=1,
        dropped_messages=0,
        used_passages=1,
    )


@pytest.fixture(scope="module")
def checker() -> SupportChecker:
    answers = AnswerSettings(way="free")
    return SupportChecker(text_embedder_for(answers.text_embedder).encode, answers.support)


class TestFree:
    def test_random_words_are_unsupported_and_so_declined(self, free_chat: ChatModel) -> None:
        answer = free_chat.answer(ASK, [WOOL, SHOES])
        assert list(answer) == [DECLINED]
        assert answer.declined
        assert answer.finish_reason in ("stop", "length")
        said = free_chat.reply(ASK, [WOOL.whole, SHOES.whole])
        assert said.text.strip()
        assert (answer.prompt_tokens, answer.finish_reason) == (said.prompt_tokens, said.finish_reason)

    @pytest.mark.parametrize("passages", [[], [FAR]], ids=["none", "far"])
    def test_nothing_is_generated_where_nothing_is_near(
        self, free_chat: ChatModel, passages: list[ChatPassage], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(free_chat.model, "forward", lambda *_, **__: pytest.fail("the model is asked"))
        answer = free_chat.answer(ASK, passages)
        assert list(answer) == [DECLINED]
        assert (answer.declined, answer.finish_reason) == (True, "stop")

    def test_what_a_passage_says_is_kept_and_the_rest_is_not(
        self, free_chat: ChatModel, checker: SupportChecker
    ) -> None:
        reply = spoken(
            free_chat, "Yes! Wash wool at 30 degrees. The tower was finished in 1889. Dry it on a towel, flat."
        )
        told = list(checked_sentences(reply, [SHOES, WOOL], checker))
        assert [(one.text, one.passage, one.status) for one in told] == [
            ("Yes!", 1, "supported"),
            ("Wash wool at 30 degrees.", 1, "supported"),
            ("Dry it on a towel, flat.", 1, "supported"),
        ]

    def test_what_a_passage_speaks_against_gives_way_to_it(self, free_chat: ChatModel, checker: SupportChecker) -> None:
        told = list(checked_sentences(spoken(free_chat, "Wash wool at 90 degrees."), [WOOL], checker))
        assert told == [AnswerSentence("Wash wool at 30 degrees.", 0, "replaced")]

    def test_unsupported_words_alone_are_declined(self, free_chat: ChatModel, checker: SupportChecker) -> None:
        text = "The tower was finished in 1889. Our shop opens at nine."
        assert list(checked_sentences(spoken(free_chat, text), [WOOL], checker)) == [DECLINED]

    def test_a_sentence_is_told_before_the_next_is_whole(self, free_chat: ChatModel, checker: SupportChecker) -> None:
        reply = spoken(free_chat, "Wash wool at 30 degrees. " + "Dry it flat on a towel. " * 9)
        sentences = checked_sentences(reply, [WOOL], checker)
        assert next(sentences).text == "Wash wool at 30 degrees."
        assert reply.new_tokens < 30
        sentences.close()
        assert list(reply) == []
        assert reply.finish_reason is None

    def test_a_bad_limit_is_refused_at_once(self, free_chat: ChatModel) -> None:
        with pytest.raises(InvalidRequestError, match="max_new_tokens"):
            free_chat.answer(ASK, [WOOL], max_new_tokens=0)


def test_closing_early_stops_the_work_and_keeps_what_was_told() -> None:
    events = []

    def sentences() -> Iterator[AnswerSentence]:
        try:
            events.append("began")
            yield AnswerSentence("A.", 0, "quoted")
            events.append("went on")
            yield AnswerSentence("B.", 0, "quoted")
        finally:
            events.append("ended")
        return "stop"

    answer = AnswerStream(sentences(), prompt_tokens=3, dropped_messages=1, used_passages=2)
    assert events == []
    assert next(answer).text == "A."
    answer.close()
    answer.close()
    assert events == ["began", "ended"]
    assert list(answer) == []
    assert (answer.finish_reason, answer.declined) == (None, False)
    assert (answer.prompt_tokens, answer.dropped_messages, answer.used_passages) == (3, 1, 2)


@pytest.mark.parametrize("way", ["quoted", "free"])
def test_nothing_is_computed_for_an_answer_that_nobody_reads(
    tiny_chat: ChatModel, free_chat: ChatModel, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tiny_chat if way == "quoted" else free_chat
    expected = list(model.answer(ASK, [WOOL]))
    with monkeypatch.context() as patch:
        patch.setattr(model.model, "forward", lambda *_, **__: pytest.fail("the model is asked"))
        model.answer(ASK, [WOOL]).close()
    assert list(model.answer(ASK, [WOOL])) == expected


@pytest.mark.parametrize("messages", [[], [{"role": "user", "content": "wool " * 200}]])
def test_a_bad_conversation_is_refused_at_once_in_both_ways(
    tiny_chat: ChatModel, free_chat: ChatModel, messages: list[dict[str, str]]
) -> None:
    for model in (tiny_chat, free_chat):
        with pytest.raises(InvalidRequestError):
            model.answer(messages, [WOOL])


def test_answers_side_by_side_do_not_mix(tiny_chat: ChatModel, free_chat: ChatModel) -> None:
    asked = [
        (model, [{"role": "user", "content": text}], passages)
        for model in (tiny_chat, free_chat)
        for text, passages in (("What goes with brown shoes?", [WOOL, SHOES]), ("Wash wool?", [SHOES, WOOL]))
    ]
    expected = [list(model.answer(messages, passages)) for model, messages, passages in asked]
    got: list[list[AnswerSentence]] = [[] for _ in asked]

    def answer(index: int) -> None:
        model, messages, passages = asked[index]
        got[index] = list(model.answer(messages, passages))

    threads = [threading.Thread(target=answer, args=(index,)) for index in range(len(asked))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == expected
