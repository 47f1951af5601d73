"""Text in sentences, so that the first can be heard while the others are still made. Pure.

Rules for languages that end sentences with ``. ! ?`` or their full-width forms. In doubt two
sentences stay together: that only costs time, while a wrong cut is heard as a wrong pause.
"""

# ruff: noqa: RUF001 (the punctuation of several scripts is what this file is about)

from __future__ import annotations

import re
from typing import Final

__all__ = ["MAX_CHARACTERS", "split_sentences"]

MAX_CHARACTERS: Final = 300
"""Longer sentences are cut at a clause or between words: about 20 s of speech."""

_BOUNDARY: Final = re.compile(
    r"""[.!?…]+["'”’)\]»]*(?=\s)"""
    r"""|[。！？]+[」』”’)）]*"""
    r"""|\n[^\S\n]*\n"""
    r"""|\n(?=\s*(?:[-*•]|\d+[.)])\s)"""
)
_CLAUSE: Final = re.compile(r"[;:,—–](?=\s)|[،、，；：]")
_LAST_WORD: Final = re.compile(r"([^\s(\[\"'“‘«]+)\.$")

NEVER_LAST: Final = re.compile(
    r"(mr|mrs|ms|mx|messrs|dr|prof|st|mt|ft|gen|col|capt|lt|sgt|maj|cmdr|rev|fr|hon|pres|gov|sen"
    r"|rep|e\.g|i\.e|cf|vs|viz|approx|al)",
    re.IGNORECASE,
)
"""Abbreviations that something always follows."""
BEFORE_NUMBERS: Final = re.compile(
    r"(no|nos|nr|vol|ch|sec|fig|figs|p|pp|art|eq"
    r"|jan|feb|mar|apr|jun|jul|aug|sep|sept|oct|nov|dec)",
    re.IGNORECASE,
)
"""Abbreviations that end no sentence when a digit follows."""


def split_sentences(text: str, max_characters: int = MAX_CHARACTERS) -> list[str]:
    """The sentences of a text, in order, without white space around them.

    Nothing but white space is lost: joined, they are the text. Cuts are at the end of a sentence
    (not after abbreviations, initials, decimals or list numbers), at empty lines and before list
    items; where that leaves more than ``max_characters``, at a clause, or else between words. A
    single word is never cut.

    Example::

        split_sentences("Dr. Who paid $3.50. Why?")  # ["Dr. Who paid $3.50.", "Why?"]
    """
    pieces: list[str] = []
    start = 0
    for match in _BOUNDARY.finditer(text):
        if _is_boundary(text, start, match):
            pieces.append(text[start : match.end()])
            start = match.end()
    pieces.append(text[start:])
    sentences: list[str] = []
    for piece in pieces:
        stripped = piece.strip()
        if stripped and sentences and not _has_words(stripped):
            sentences[-1] += " " + stripped
        elif stripped:
            sentences.append(stripped)
    return [part for sentence in sentences for part in _shorten(sentence, max_characters)]


def _is_boundary(text: str, start: int, match: re.Match[str]) -> bool:
    mark = match.group()
    if mark[0] not in ".!?…":
        return True
    following = text[match.end() :].lstrip()[:1]
    if following.islower():
        return False
    if mark[0] != "." or mark.startswith(".."):
        return True
    so_far = text[start : match.start() + 1].strip()
    last = _LAST_WORD.search(so_far)
    if last is None:
        return True
    word = last.group(1)
    if NEVER_LAST.fullmatch(word):
        return False
    if BEFORE_NUMBERS.fullmatch(word) and following.isdigit():
        return False
    if len(word) == 1 and word.isupper() and word != "I":
        return False
    return not (word.isdigit() and so_far == f"{word}.")


def _has_words(text: str) -> bool:
    return any(character.isalnum() for character in text)


def _shorten(sentence: str, limit: int) -> list[str]:
    parts: list[str] = []
    while len(sentence) > limit:
        clauses = [match.end() for match in _CLAUSE.finditer(sentence, limit // 4, limit + 1)]
        cut = clauses[-1] if clauses else sentence.rfind(" ", 1, limit + 1)
        if cut <= 0:
            space = re.search(r"\s", sentence)
            if space is None:
                break
            cut = space.start()
        parts.append(sentence[:cut].rstrip())
        sentence = sentence[cut:].lstrip()
    if sentence:
        parts.append(sentence)
    return parts
