"""Where the command line writes: results to standard output, everything else to standard error."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def wide(width: int) -> Console:
    """Return where a table is printed that takes so many characters: ids stay in one piece, to be copied.

    A terminal that is narrower wraps the lines; elsewhere nothing says how wide a line may be.
    """
    return Console(width=max(console.width, width), highlight=False)


def progress_bar() -> Progress:
    """Return a progress display that vanishes when it is done; there is none where nobody watches a terminal."""
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=errors,
        transient=True,
        disable=not errors.is_terminal,
    )
