"""What MkDocs needs to know of this repository: pages that lie outside docs/, and files that pages point to.

Pages link to each other as they lie in the repository, so that they can be read there too. The site holds only what is
in docs/; so the pages elsewhere are added to it, and every other file that a page names is laid beside them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

ROOT: Final = Path(__file__).resolve().parent.parent
OUTSIDE: Final = {
    "README.md": "index.md",
    "playbooks/README.md": "playbooks.md",
    **{f"{name}.md": f"{name}.md" for name in ("CONTRIBUTING", "SECURITY", "CODE_OF_CONDUCT", "CHANGELOG")},
    **{
        f"playbooks/roles/{name}/README.md": f"role-{name}.md"
        for name in ("common", "coordinator", "source", "relay", "peer")
    },
}
FIGURES: Final = "background.md"
FIGURE: Final = re.compile(r"\bFig\. \d[A-C]?")
LINK: Final = re.compile(r"\[([^\]]*)\]\(([^)#\s:]+)(#[^)\s]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie outside docs/."""
    for source, name in OUTSIDE.items():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead each link to where the site has what it names."""
    source = next((path for path, name in OUTSIDE.items() if name == page.file.src_uri), f"docs/{page.file.src_uri}")

    def lead(link: re.Match[str]) -> str:
        words, target, anchor = link.groups(default="")
        path = (ROOT / source).parent.joinpath(target).resolve().relative_to(ROOT)
        # a site has no page for a folder
        return words if (ROOT / path).is_dir() else f"[{words}]({_in_site(path, config, files)}{anchor})"

    return LINK.sub(lead, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead what says "Fig. 7" to the page that has the figures."""
    if page.file.src_uri == FIGURES:
        return html
    target = get_relative_url(str(Path(FIGURES).with_suffix(".html")), page.url)
    return FIGURE.sub(lambda found: f'<a href="{target}#figures-code-and-experiments">{found[0]}</a>', html)


def _in_site(path: Path, config: MkDocsConfig, files: Files) -> str:
    """Return where the site has a file of the repository; what it has not is laid under ``files``."""
    if str(path) in OUTSIDE:
        return OUTSIDE[str(path)]
    if path.parts[0] == "docs":
        return path.relative_to("docs").as_posix()
    name = f"files/{path.as_posix()}"
    if files.get_file_from_path(name) is None and (ROOT / path).is_file():
        files.append(File.generated(config, name, abs_src_path=str(ROOT / path)))
    return name
