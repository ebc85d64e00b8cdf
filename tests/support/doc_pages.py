"""The pages of the documentation, and the code on them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
NAMES = ('README.md', 'CONTRIBUTING.md', 'SECURITY.md', 'kernels/README.md', 'benchmarks/NOTES.md')
PAGES = [*(ROOT / name for name in NAMES), *sorted(ROOT.glob('docs/*.md'))]


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a page, without the indent that they have in a list."""
    matches = re.findall(rf'^( *)```{language}\n(.*?)^ *```', path.read_text(), re.M | re.S)
    return [re.sub(rf'^{indent}', '', text, flags=re.M) for indent, text in matches]


PAGE_CODE = [text for page in PAGES for text in blocks(page, 'python')]
