"""What setup.cfg cannot say: the training data travel in the package, each file compressed."""

import lzma
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

DATA = Path(__file__).parent / "data"
INSTALLED = Path("scratchgpt", "shipped", "data")


class BuildWithData(build_py):
    """Builds the package, and adds what ``data/`` holds for training and measuring."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:  # the package stays in its checkout, beside data/
            return
        target = Path(self.build_lib) / INSTALLED
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted([file for kind in ("data", "heldout", "dev") for file in DATA.glob(f"*_{kind}.*")]):
            (target / f"{file.name}.xz").write_bytes(lzma.compress(file.read_bytes()))


setup(cmdclass={"build_py": BuildWithData})
