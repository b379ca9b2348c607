"""What reads the sources without running them must find every node, and no other.

ComfyUI-Manager tells users which pack holds a missing node from a scan of the repository, tests
and all. Its scanner is no part of its package; this follows the same rules.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from comfyui_softrepa.tests.install.conftest import git

# How older nodes are registered; the scanner looks for it in the text, strings included.
_OLD_STYLE = re.compile(r"_CLASS_MAPPINGS\s*(?::\s*\w+\s*)?(?:=\s*\\?\s*\{|\[|\.update\s*\()")


@pytest.fixture(scope="module")
def sources(checkout: Path) -> dict[str, str]:
    names = git(checkout, "ls-files", "*.py").splitlines()
    return {name: (checkout / name).read_text(encoding="utf-8") for name in names}


def node_classes(source: str) -> Iterator[ast.ClassDef]:
    for found in ast.walk(ast.parse(source)):
        if isinstance(found, ast.ClassDef) and any(
            ast.unparse(base).split(".")[-1] == "ComfyNode" for base in found.bases
        ):
            yield found


def literal_id(node: ast.ClassDef) -> str | None:
    """The node_id that the class's own define_schema states as a literal."""
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "define_schema":
            for call in ast.walk(method):
                if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("Schema"):
                    for keyword in call.keywords:
                        if keyword.arg == "node_id" and isinstance(keyword.value, ast.Constant):
                            return keyword.value.value
    return None


def test_every_node_and_no_other_is_found(sources, node_ids):
    found = [literal_id(node) for text in sources.values() for node in node_classes(text)]
    assert sorted(map(str, found)) == sorted(node_ids)


def test_a_class_is_named_like_its_node(sources):
    for text in sources.values():
        assert all(node.name == literal_id(node) for node in node_classes(text))


def test_no_node_of_the_older_style_is_found_anywhere(sources):
    found = [name for name, text in sources.items() if _OLD_STYLE.search(text)]
    assert not found, (
        f"{', '.join(found)}: ComfyUI-Manager would list what is registered there as nodes of this "
        "pack; write NODE_CLASS_MAPPINGS = dict(...) there."
    )
