"""Reads the project's pages as far as tests compare them with the code: their headings, tables and code blocks."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def page(name: str) -> str:
    """Return the text of a page of docs/."""
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def section(name: str, heading: str) -> str:
    """Return what stands under a heading, up to the next one of its level or above."""
    match = re.search(rf"^(#+) {re.escape(heading)}\n", page(name), re.MULTILINE)
    assert match is not None, f"docs/{name} has no heading {heading!r}"
    rest = page(name)[match.end() :]
    end = re.search(rf"^#{{1,{len(match[1])}}} ", without_code(rest), re.MULTILINE)
    return rest[: end.start()] if end else rest


def without_code(text: str) -> str:
    """Blank out code blocks, and leave every other character where it is."""
    return _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def block(name: str, language: str, first_line: str) -> str:
    """Return the one code block of a page that begins with a line."""
    (found,) = (
        text for kind, text in _FENCE.findall(page(name)) if kind == language and text.startswith(f"{first_line}\n")
    )
    return found


def tables(text: str) -> Iterator[list[dict[str, str]]]:
    """Yield every table of a text: a list of rows, each a cell by the name of its column."""
    for lines in re.findall(r"(?:^\|.*\|\n)+", without_code(text), re.MULTILINE):
        header, _, *rows = (_cells(line) for line in lines.splitlines())
        yield [dict(zip(header, row, strict=True)) for row in rows]


def table(name: str, heading: str) -> list[dict[str, str]]:
    """Return the first table under a heading."""
    return next(tables(section(name, heading)))


def code(cell: str) -> str:
    """Return a cell without the marks of code."""
    return cell.strip("`")


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
