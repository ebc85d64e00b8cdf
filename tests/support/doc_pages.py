"""The pages of the documentation, and the code on them."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', ROOT / 'kernels/README.md']
PAGES += sorted(ROOT.glob('docs/*.md'))


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of a page, without the indent that they have in a list."""
    found = re.findall(rf'^( *)```{language}\n(.*?)^ *```', path.read_text(), re.M | re.S)
    return [re.sub(rf'^{indent}', '', text, flags=re.M) for indent, text in found]


PAGE_CODE = [text for page in PAGES for text in blocks(page, 'python')]
