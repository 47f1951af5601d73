"""Sentences are found where a reader finds them, and no word is lost or cut."""

# ruff: noqa: E501, RUF001

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastrtc.speech.sentences import split_sentences

WORDS = st.sampled_from(
    ["Dr.", "Mr.", "e.g.", "3.14", "$5.", "No.", "5", "etc.", "Hello", "hello", "U.S.", "J.", "I.",
     "what?", "Stop!", '"yes."', "(no)", "...", "1.", "-", "—", "\n", "\n\n", "，", "好。", "a;", "b,",
     "http://example.com/a.b?c=d", "x" * 40]
)  # fmt: skip
TEXTS = st.one_of(
    st.text(max_size=300),
    st.lists(WORDS, max_size=120).map(" ".join),
)


@pytest.mark.parametrize(
    "sentences",
    [
        ["Hello.", "How are you?", "Fine!"],
        ["Dr. Who paid Mr. Smith $3.50.", "Why?"],
        ["It is 3.14 or so.", "Nearly."],
        ["He said no.", "Then he left."],
        ["No. 5 is alive.", "No.", "It is not."],
        ["Bring apples, pears, etc. and e.g. plums.", "Thanks."],
        ["J. R. R. Tolkien wrote it.", "I read it."],
        ["It was I.", "Nobody else."],
        ['"Stop!" he cried.', '"Why?"', "Nobody knew."],
        ["Well... maybe not.", "Who knows…", "Not me."],
        ["Really?!", "Yes."],
        ["On Jan. 5 it rained.", "Then it did not."],
        ["One thing", "- apples", "- pears", "2. plums"],
        ["A title", "A paragraph without an end"],
        ["今日は。", "元気ですか？", "はい"],
        ["Version 2.0 is out.", "Get it at example.com."],
    ],
)
def test_sentences_end_where_a_reader_ends_them(sentences: list[str]) -> None:
    lists = any(sentence[:1] in "-2" for sentence in sentences)
    paragraphs = sentences[0] == "A title"
    joiner = "\n" if lists else "\n\n" if paragraphs else " "
    assert split_sentences(joiner.join(sentences)) == sentences


def test_long_sentences_are_cut_at_clauses_then_between_words() -> None:
    clauses = "one two three four, " * 10
    parts = split_sentences(clauses, 60)
    assert all(len(part) <= 60 and part.endswith(",") for part in parts)
    parts = split_sentences("word " * 100, 60)
    assert all(len(part) <= 60 and set(part.split()) == {"word"} for part in parts)


@given(TEXTS, st.integers(10, 200))
def test_no_word_is_lost_cut_or_moved(text: str, limit: int) -> None:
    sentences = split_sentences(text, limit)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    whole = set(text.split())
    for sentence in sentences:
        assert sentence == sentence.strip() != ""
        assert len(sentence) <= limit or len(sentence.split()) <= 2 or not sentence.isascii()
        for word in sentence.split():
            assert word in whole or "。" in text or "？" in text or "！" in text
