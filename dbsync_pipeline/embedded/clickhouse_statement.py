"""Reads as much of a ClickHouse statement as an HTTP server must know before the engine sees it.

That is: what kind of statement it is, in which format it answers, and where an INSERT ends and its data begins, since
the data is streamed and never becomes part of a statement. Everything else, and every verdict on correctness, is the
engine's.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_TOKEN = re.compile(
    rb"""
      (?P<gap> \s+ | --[^\n]* | \#[!\ ][^\n]* | /\*.*?\*/ )
    | (?P<quoted> '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | `(?:[^`\\]|\\.)*` | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$ )
    | (?P<word> [A-Za-z_]\w* )
    | (?P<open> [(\[{] )
    | (?P<close> [)\]}] )
    | (?P<end> ; )
    | (?P<other> [0-9]\w* | . )
    """,
    re.VERBOSE | re.DOTALL,
)
# A blank before the data is the statement's; of line ends only the first is, a second may be an empty row.
_BEFORE_DATA = re.compile(rb"[ \t\f]*\r?\n?")
_SELECTING = {"SELECT", "WITH", "FROM", "("}
_ANSWERING = _SELECTING | {"SHOW", "DESCRIBE", "DESC", "EXISTS", "EXPLAIN", "CHECK", "KILL"}
# What follows one of these is a name, even where it reads like a keyword.
_NAMING = {"INTO", "TABLE", "."}
_TEMPORARY_WITHIN = 4


@dataclass(frozen=True)
class Statement:
    """What was read.

    Attributes:
        words: the first few tokens, in capitals.
        answer_format: the format that the statement's own FORMAT clause names, else empty.
        insert_head: an INSERT that brings data, up to where FORMAT or VALUES stood; empty for any other statement.
        insert_format: the format of that data.
        data_offset: where that data begins.
        several: whether another statement follows the first.
    """

    words: tuple[str, ...]
    answer_format: str = ""
    insert_head: bytes = b""
    insert_format: str = ""
    data_offset: int = 0
    several: bool = False

    @property
    def answers(self) -> bool:
        """Whether the statement has a result, be it an empty one."""
        return bool(self.words) and self.words[0] in _ANSWERING

    @property
    def selects(self) -> bool:
        """Whether the result can be read while it is being made."""
        return bool(self.words) and self.words[0] in _SELECTING

    @property
    def for_session(self) -> bool:
        """Whether the statement only changes the session it runs in."""
        return self.words[:1] in (("SET",), ("USE",)) or (
            self.words[:1] == ("CREATE",) and "TEMPORARY" in self.words[:_TEMPORARY_WITHIN]
        )


def read_statement(text: bytes) -> Statement:
    """Read `text`, which holds a whole statement or the beginning of an INSERT that is longer."""
    tokens: list[str] = []
    format_at = -1
    outer = _outer_tokens(text)
    for kind, token, start in outer:
        if kind == "end":
            return Statement(_words(tokens), _answer_format(tokens), several=next(outer, None) is not None)
        tokens.append(token)
        if tokens[0].upper() != "INSERT" or tokens[-2:][0].upper() in _NAMING:
            continue
        if format_at >= 0 and kind == "word":
            data = _BEFORE_DATA.match(text, start + len(token))
            assert data is not None
            return Statement(_words(tokens), "", text[:format_at], token, data.end())
        if token.upper() == "VALUES":
            return Statement(_words(tokens), "", text[:start], "Values", start + len(token))
        if token.upper() in ("SELECT", "WITH", "FROM"):
            break
        format_at = start if token.upper() == "FORMAT" else -1
    return Statement(_words(tokens), _answer_format(tokens))


def _words(tokens: list[str]) -> tuple[str, ...]:
    return tuple(token.upper() for token in tokens[:_TEMPORARY_WITHIN])


def _answer_format(tokens: list[str]) -> str:
    """Return the name after a closing FORMAT, which only SETTINGS may follow."""
    for position in range(len(tokens) - 2, 0, -1):
        if tokens[position].upper() == "FORMAT":
            after = tokens[position + 2 : position + 3]
            return tokens[position + 1] if not after or after[0].upper() == "SETTINGS" else ""
    return ""


def _outer_tokens(text: bytes) -> Iterator[tuple[str, str, int]]:
    """Yield kind, text and position of every token that stands outside brackets; a bracket is an empty text."""
    depth = 0
    for match in _TOKEN.finditer(text):
        kind = str(match.lastgroup)
        if kind == "close":
            depth -= 1
        if depth == 0 and kind != "gap":
            yield kind, match.group().decode(errors="replace") if kind != "close" else "", match.start()
        if kind == "open":
            depth += 1
