"""A study's file, read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml


class _Once(yaml.SafeLoader):
    """YAML in which no key stands twice in a mapping: the last one would win, and a row would be gone without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line = key.start_mark.line + 1
                if key.value in lines:
                    raise ValueError(f"{key.value!r} stands in lines {lines[key.value]} and {line}; rename or remove one")
                lines[key.value] = line
        found: dict[Any, Any] = super().construct_mapping(node, deep)
        return found


def read_yaml(path: Path) -> Any:
    """What a file says, as plain data.

    Raises:
        OSError, UnicodeDecodeError, yaml.YAMLError, ValueError: It cannot be read.
    """
    return yaml.load(path.read_text(encoding="utf-8"), _Once)
