"""Imports strategy files from a folder under a private name, and says where an author's code went wrong.

Used by the strategy loader. Two folders never meet in one name space, a new `Folder` reads everything anew, and no
byte code is kept: what runs is what was read, and its hash is the run's record of it. Nothing is put on `sys.path`.
"""

import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from pathlib import Path
from traceback import walk_tb
from types import CodeType, ModuleType

import msgspec


class LoadFailure(msgspec.Struct, frozen=True):
    """Why a plugin cannot be used; says what, which file and which line."""

    id: str
    """The strategy's id in the configuration, or the plugin's name."""
    what: str
    """The cause, with what was found and what was expected."""
    file: str = ""
    line: int = 0
    """0 where the file as a whole is meant."""

    def __str__(self) -> str:
        """Return ``file:line: what``."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.what}" if place else self.what


class NotLoadable(Exception):
    """Something about a plugin is wrong; becomes a `LoadFailure` at the loader's edge."""

    def __init__(self, what: str, file: str = "", line: int = 0) -> None:
        super().__init__(what)
        self.what = what
        self.file = file
        self.line = line


class _FreshLoader(SourceFileLoader):
    """Compiles what the file holds now; the byte code of a file changed within the same second would be stale."""

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the code of the present source."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


class _FolderFinder(MetaPathFinder):
    """Finds what the files of a folder import from each other: the usual finder would keep and run byte code."""

    def __init__(self, package: str, find: Callable[[str], Path | None]) -> None:
        self.package = package
        self._find = find

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return how a module of the folder is loaded; None for any other."""
        package, _, module = fullname.partition(".")
        file = self._find(module) if package == self.package and module else None
        return None if file is None else _spec(fullname, file)


def _spec(name: str, file: Path) -> ModuleSpec:
    search = [str(file.parent)] if file.name == "__init__.py" else None
    spec = ModuleSpec(name, _FreshLoader(name, str(file)), origin=str(file), is_package=search is not None)
    spec.has_location = True
    if search is not None:
        spec.submodule_search_locations = search
    return spec


class Folder:
    """The strategies folder as a private package."""

    def __init__(self, path: Path) -> None:
        """Forget what was imported from this folder before."""
        self.path = path.resolve()
        self._package = "strategies_" + hashlib.sha256(str(self.path).encode()).hexdigest()[:12]
        for name in [name for name in sys.modules if name.partition(".")[0] == self._package]:
            del sys.modules[name]
        importlib.invalidate_caches()
        package = ModuleType(self._package)
        package.__path__ = [str(self.path)]  # lets the files of the folder import each other: from .shared import x
        sys.modules[self._package] = package
        mine = [one for one in sys.meta_path if isinstance(one, _FolderFinder) and one.package == self._package]
        for finder in mine:
            sys.meta_path.remove(finder)
        sys.meta_path.insert(0, _FolderFinder(self._package, self.find))

    def names(self) -> list[str]:
        """Return the names of the modules in the folder."""
        files = [path.stem for path in self.path.glob("*.py") if not path.name.startswith("_")]
        packages = [path.parent.name for path in self.path.glob("*/__init__.py")]
        return sorted({*files, *packages})

    def find(self, module: str) -> Path | None:
        """Return the file of a module, None when the folder has none of that name.

        Raises:
            NotLoadable: a file and a package have the same name, or the folder cannot be looked into.
        """
        base = self.path.joinpath(*module.split("."))
        try:
            found = [path for path in (base.with_name(base.name + ".py"), base / "__init__.py") if path.is_file()]
        except OSError as error:
            raise NotLoadable(f"cannot be read: {error.strerror}", str(self.path)) from error
        if len(found) > 1:
            raise NotLoadable(f"several files have the name {module}: {found[0]} and {found[1]}", str(found[0]))
        return found[0] if found else None

    def load(self, module: str, file: Path) -> ModuleType:
        """Import a module of the folder, once.

        Raises:
            NotLoadable: it cannot be imported; says where and why.
        """
        name = f"{self._package}.{module}"
        known = sys.modules.get(name)
        if known is not None:
            return known
        spec = _spec(name, file)
        made = module_from_spec(spec)
        sys.modules[name] = made
        try:
            assert spec.loader is not None, "made with one"
            spec.loader.exec_module(made)
        except (Exception, SystemExit) as error:  # boundary: an author's file may raise anything
            del sys.modules[name]
            raise blame(error, file) from error
        return made


def blame(error: BaseException, file: Path | str) -> NotLoadable:
    """Return what went wrong in an author's code, with the deepest line of `file` that was running."""
    name = str(file)
    if isinstance(error, SyntaxError) and error.lineno is not None:
        text = (error.text or "").strip()
        detail = f"{type(error).__name__}: {error.msg}" + (f": {text}" if text else "")
        return NotLoadable(detail, error.filename or name, error.lineno)
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == name]
    said = str(error)
    detail = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return NotLoadable(detail, name, lines[-1] if lines else 0)


def source_hash(file: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal.

    Raises:
        NotLoadable: it cannot be read.
    """
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise NotLoadable(f"cannot be read: {error.strerror}", str(file)) from error


def line_of(thing: type) -> int:
    """Return the line on which a class is defined, 0 when it cannot be told."""
    try:
        return inspect.getsourcelines(thing)[1]
    except (OSError, TypeError):
        return 0
