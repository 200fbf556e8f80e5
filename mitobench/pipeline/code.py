"""Finds all code that a module imports, directly or not, and digests it. Reads syntax trees; runs nothing.

Modules of mitobench, of a plugin's own package and of other local packages count by their syntax tree: comments,
docstrings and layout do not change the digest. All other packages count by their version.

A package is local if no installed distribution claims it (a source folder on the path), if it was installed from a
local path or in editable mode, or if it requires mitobench. Imports under `if TYPE_CHECKING:` do not count. A data
file of a package counts if a module names it in a string constant. Imports whose module name is computed at run time
cannot be found.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.machinery
import json
import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec, resolve_name
from pathlib import Path
from typing import TypeGuard

from packaging.requirements import Requirement

from mitobench.pipeline import canonical

CORE = "mitobench"
Files = Callable[[Path], Mapping[str, list[tuple[str, Path]]]]
Find = Callable[[str], Path | None]
_IMPORTERS = {"import_module", "__import__"}


@dataclass(frozen=True)
class Code:
    """A module and everything it imports.

    Attributes:
        parts: digests of the local modules and of the data files that they name, by name.
        versions: versions of all other packages, and of Python, by name.
    """

    parts: Mapping[str, str]
    versions: Mapping[str, str]

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 over all parts."""
        return canonical.digest(dict(self.parts))


@dataclass(frozen=True)
class _Import:
    """One import.

    Attributes:
        module: the imported module.
        attribute: the name imported from it; None: the whole module; empty: only the package's own code, no re-exports.
        bound: the name that it gets in the importing module.
    """

    module: str
    attribute: str | None = None
    bound: str = ""


def code_of(modules: Iterable[str], package: str | None = None) -> Code:
    """Returns these modules with everything that they import, directly or not.

    Args:
        modules: full names of modules.
        package: the distribution that they belong to; the versions of its declared requirements are included.
    """
    parts: dict[str, str] = {}
    versions = {"python": f"{sys.version_info.major}.{sys.version_info.minor}", **_required(package)}
    pending, seen = [_Import(module) for module in modules], set[_Import]()
    find, files = functools.cache(locate), functools.cache(_files)
    while pending:
        current = pending.pop()
        if current in seen:
            continue
        seen.add(current)
        external = _external_versions(current.module.partition(".")[0], package, tuple(sys.path))
        if external is not None:
            versions |= external
            continue
        file = find(current.module)
        if file is None:  # not installed here, or a folder without code
            continue
        module = _Module.read(current.module, file)
        if current.attribute is None or current.attribute not in module.exports:
            parts |= module.parts(files)
        else:
            parts[f"{current.module}:{current.attribute}"] = module.origin(current.attribute)
        pending += module.imports(current.attribute, find)
    return Code(dict(sorted(parts.items())), dict(sorted(versions.items())))


def locate(module: str) -> Path | None:
    """Returns the file of a module without importing it or its package; None if there is no such file."""
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if not rest and not folders:
        return Path(str(spec.origin)) if spec.has_location else None
    paths = [folder.joinpath(*rest) for folder in folders]
    suffixes = importlib.machinery.all_suffixes() if rest else []
    candidates = [
        file for path in paths for file in (path / "__init__.py", *(Path(f"{path}{suffix}") for suffix in suffixes))
    ]
    return next((file for file in candidates if file.is_file()), None)


@dataclass(frozen=True)
class _Module:
    """A parsed module. `exports` are the names that a package's `__init__.py` re-exports and does not define."""

    name: str
    file: Path
    syntax: _Syntax

    @classmethod
    def read(cls, name: str, file: Path) -> _Module:
        return cls(name, file, _parse(read_source(file)))

    @property
    def _package(self) -> str:
        return self.name if self.file.name == "__init__.py" else self.name.rpartition(".")[0]

    @property
    def exports(self) -> Collection[str]:
        return self.syntax.exports if self.file.name == "__init__.py" else ()

    def parts(self, files: Files) -> dict[str, str]:
        """Returns the digests of its syntax tree and of the data files that it names."""
        named = _named(self.name, self.file, self.syntax.file_names, files)
        digests = {f"{self.name}/{place}": canonical.file_digest(path) for place, path in named}
        return digests if self.exports else {self.name: self.syntax.digest, **digests}

    def origin(self, name: str) -> str:
        """Returns where a re-exported name comes from; the digest of `__getattr__` for one that is imported on use."""
        places = [f"{i.module}.{i.attribute}" for i in self._resolved() if i.bound == name]
        return "; ".join(places) or self.syntax.on_use

    def imports(self, attribute: str | None, find: Find) -> Iterator[_Import]:
        """Yields its parent packages and its imports; of re-exported names only `attribute`, if one is given."""
        parents = self.name.split(".")[:-1]
        yield from (_Import(".".join(parents[: n + 1]), "") for n in range(len(parents)))
        for imported in self._resolved():
            if imported.bound in self.exports and attribute not in (None, imported.bound):
                continue
            module, name = imported.module, imported.attribute
            if name and find(f"{module}.{name}"):
                yield from (_Import(f"{module}.{name}"), _Import(module, ""))
            else:
                yield _Import(module, name)

    def _resolved(self) -> Iterator[_Import]:
        for imported in self.syntax.imports:
            try:
                yield _Import(resolve_name(imported.module, self._package), imported.attribute, imported.bound)
            except ImportError:  # a relative import beyond the top-level package, which also fails when run
                continue


@dataclass(frozen=True)
class _Syntax:
    digest: str
    imports: tuple[_Import, ...] = ()
    exports: frozenset[str] = frozenset()
    file_names: frozenset[str] = frozenset()  # string constants that may name files
    on_use: str = ""  # digest of the function `__getattr__` of the module


def read_source(file: Path) -> bytes:
    """Returns the bytes of a source file."""
    return file.read_bytes()


@functools.lru_cache(maxsize=4096)
def _parse(content: bytes) -> _Syntax:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # a compiled module, or syntax of another Python version
        return _Syntax(hashlib.sha256(content).hexdigest())
    exports = _exports(tree)
    _strip_docstrings(tree)
    nodes = list(_executed(tree))
    return _Syntax(
        hashlib.sha256(ast.dump(tree).encode()).hexdigest(),
        tuple(imported for node in nodes for imported in _imports(node)),
        exports,
        _file_names(nodes),
        "".join(hashlib.sha256(ast.dump(node).encode()).hexdigest() for node in tree.body if _imports_on_use(node)),
    )


def _strip_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            del body[0]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    """Yields all nodes except those under `if TYPE_CHECKING:`, which never run."""
    yield node
    for child in ast.iter_child_nodes(node):
        if _is_for_type_checkers(child):
            for other in child.orelse:
                yield from _executed(other)
        else:
            yield from _executed(child)


def _is_for_type_checkers(node: ast.AST) -> TypeGuard[ast.If]:
    return isinstance(node, ast.If) and ast.unparse(node.test).rpartition(".")[2] == "TYPE_CHECKING"


def _imports_on_use(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == "__getattr__"


def _imports(node: ast.AST) -> Iterator[_Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield _Import(alias.name)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            attribute = None if alias.name == "*" else alias.name
            yield _Import("." * node.level + (node.module or ""), attribute, alias.asname or alias.name)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in _IMPORTERS and node.args:
        name = node.args[0]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield _Import(name.value)


def _exports(tree: ast.Module) -> frozenset[str]:
    """Returns the names in `__all__` of a module that contains only imports; otherwise no names.

    It may also import names on first use, in a function `__getattr__`, and for type checkers.
    """
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            try:
                names |= set(ast.literal_eval(node.value))
            except ValueError:
                return frozenset()
        elif not (
            _is_text(node)
            or isinstance(node, ast.Import | ast.ImportFrom)
            or _is_for_type_checkers(node)
            or _imports_on_use(node)
        ):
            return frozenset()
    return frozenset(names)


def _file_names(nodes: Iterable[ast.AST]) -> frozenset[str]:
    """Returns all string constants of a module; none if no constant has a suffix, as the name of a data file has."""
    texts = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return frozenset(texts) if any("." in text and Path(text).suffix for text in texts) else frozenset()


def _named(module: str, file: Path, names: frozenset[str], files: Files) -> list[tuple[str, Path]]:
    """Returns the files of a module's package that its string constants name.

    For a module outside any package, these are files in the same folder.
    """
    if not names:
        return []
    depth = module.count(".") + (file.name == "__init__.py")
    if not depth:
        return sorted((path.name, path) for path in file.parent.glob("*") if path.name in names and path.is_file())
    by_name = files(file.parents[depth - 1])
    return sorted({found for name in names & by_name.keys() for found in by_name[name]})


def _files(folder: Path) -> dict[str, list[tuple[str, Path]]]:
    """Returns (relative path, path) of every file below a folder, by its relative path and by its name alone.

    Leaves out `__init__.py` and compiled Python.
    """
    by_name: dict[str, list[tuple[str, Path]]] = {}
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            path = Path(parent, name)
            if name == "__init__.py" or not path.is_file():
                continue
            place = path.relative_to(folder).as_posix()
            for key in {place, name}:
                by_name.setdefault(key, []).append((place, path))
    return by_name


# -------------------------------------------------------------------------------------------- distributions


@functools.cache
def _external_versions(top: str, package: str | None, path: tuple[str, ...]) -> dict[str, str] | None:
    """Returns the versions of the distributions with this top-level module; None if it counts by its syntax tree."""
    if top in sys.stdlib_module_names:
        return {}
    claims = [name for name in _claims(path).get(top, ()) if name]
    if top == CORE or not claims or any(name == package or _is_local(name) for name in claims):
        return None
    return {name: _version(name) for name in claims}


@functools.cache
def _claims(path: tuple[str, ...]) -> Mapping[str, list[str]]:
    """Returns the names of the distributions that contain each top-level module."""
    return metadata.packages_distributions()


def _is_local(name: str) -> bool:
    """Returns whether a distribution was installed from a local path, or requires mitobench."""
    url = json.loads(metadata.distribution(name).read_text("direct_url.json") or "{}").get("url", "")
    return str(url).startswith("file:") or CORE in _requirements(name)


def _requirements(name: str | None) -> set[str]:
    try:
        lines = metadata.requires(name) or [] if name else []
    except metadata.PackageNotFoundError:
        return set()
    return {Requirement(line).name for line in lines if "extra ==" not in line}


def _required(package: str | None) -> dict[str, str]:
    return {name: _version(name) for name in _requirements(package) - {CORE}}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "absent"
