"""What is wrong with a file, by kind: one example of each and how many there are."""

from collections import Counter


class Problems:
    """Collects problems, or remarks, of several kinds.

    Attributes:
        counts: number of each kind.
        first: an example of each kind, in words.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def add(self, kind: str, example: str, count: int = 1) -> None:
        self.counts[kind] += count
        self.first.setdefault(kind, example)

    def __bool__(self) -> bool:
        return bool(self.counts)

    def __str__(self) -> str:
        return '; '.join(
            self.first[kind] + and_more(count - 1) for kind, count in self.counts.items()
        )


def and_more(count: int) -> str:
    return f' (and {count} more such)' if count else ''
