"""Puts a mutant in its module's place when that is imported. Python runs this at its start where PYTHONPATH names the folder.

So a program that a test starts runs the mutant too. No file of the package is touched: the compiled code of the mutant
lies in a file of its own, and what asks for the module's source or path gets the original's.
"""

from __future__ import annotations

import importlib.machinery
import marshal
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

VARIABLE = "SCRATCHGPT_MUTANT"
"""The environment variable that says ``module:file``, the file holding its code as ``marshal`` writes it."""


class _Loader(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        return marshal.loads(Path(os.environ[VARIABLE].split(":", 1)[1]).read_bytes())


class _Finder:
    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name != os.environ.get(VARIABLE, "").split(":", 1)[0]:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = _Loader(name, spec.origin)
        return spec


if VARIABLE in os.environ:
    sys.meta_path.insert(0, _Finder)
