"""Writes the commit that a wheel was built from into the wheel, so that it can say what it is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StampHook(BuildHookInterface[Any]):
    """Adds `f5serve/_stamp.json` ({"commit": ...}) when the source is a git checkout."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files; an editable install reads git itself."""
        if version == "editable":
            return
        sys.path.insert(0, str(Path(self.root) / "src"))
        from f5serve.build import read_git_commit

        commit = read_git_commit(Path(self.root))
        if commit is None:
            return
        stamp = Path(self.directory) / "_stamp.json"
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(json.dumps({"commit": commit}) + "\n")
        build_data["force_include"][str(stamp)] = "f5serve/_stamp.json"
