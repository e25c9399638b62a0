"""Another version of the playbooks, to walk beside the present one.

In: a folder of playbooks, or one file: a playbook that takes the place of the one of its name (or joins the
others), a catalog, or segments. Out: the library it makes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from smr.errors import OperatorError
from smr.playbook import load_library
from smr.playbook.model import Library
from smr.settings import Settings
from smr.strict_yaml import read_text, read_yaml

WHOLE_SHOP = ("catalog.yaml", "segments.yaml")


@contextmanager
def other_version(path: Path, library: Library, settings: Settings) -> Iterator[Library]:
    """The library of that folder, or the present one with that file put in. FaultsError tells its faults."""
    if path.is_dir():
        yield load_library(path, settings)
        return
    if not path.is_file():
        raise OperatorError(f"--compare {path}: there is no such file or folder")
    with TemporaryDirectory(prefix="smr-compare-") as name:
        folder = Path(name) / "playbooks"
        shutil.copytree(library.folder, folder)
        shutil.copyfile(path, folder / _place(path, library))
        yield replace(load_library(folder, settings), folder=path)


def _place(path: Path, library: Library) -> str:
    """Which file of the playbooks' folder it stands for."""
    for whole in WHOLE_SHOP:
        if path.name == whole or (path.suffix == ".yaml" and path.stem.startswith(Path(whole).stem)):
            return whole
    document = read_yaml(read_text(path), str(path))
    return library.files.get(str(document.data.get("name")), path.name)
