"""The site: `make docs` builds it from the pages of this folder into build/site."""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS / "_extensions"), str(DOCS.parent)]

import nptables  # noqa: E402 - of this tree, which the line above names

project = "nptables"
copyright = "the nptables authors"  # noqa: A001 - Sphinx's name for it
version = release = nptables.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "command_output",
    "command_reference",
    "docstrings",
]
exclude_patterns = ["_extensions", "_static", "files"]
highlight_language = "none"
smartquotes = False
html_theme = "furo"
html_title = f"nptables {version}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}

myst_heading_anchors = 3
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]

copybutton_prompt_text = "$ "
copybutton_exclude = ".linenos, .go"

# Docstrings are Markdown-like: what stands in single backticks is code.
default_role = "literal"
autodoc_member_order = "bysource"
# Types that a signature names and the reference does not describe.
nitpick_ignore_regex = [("py:.*", r".*")]
