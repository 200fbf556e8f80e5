"""The code that decides a result: a module and all that it imports, found from the syntax trees. Nothing is run.

Modules of mitobench, of a plugin's own package and of other local packages count by their syntax tree, so that a
comment, a docstring or another layout changes nothing; all other packages count by their version. A package is local
that no installed distribution claims (a source folder on the path), that was installed from a local path or for
editing, or that itself requires mitobench. Imports for type checkers alone do not count. A file of a package counts
where a module names it in a string constant. An import under a name that is computed cannot be seen.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.machinery
import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec, resolve_name
from pathlib import Path

from packaging.requirements import Requirement

from mitobench.pipeline import canonical

CORE = "mitobench"
Files = Callable[[Path], list[tuple[str, Path]]]
Find = Callable[[str], Path | None]
_IMPORTERS = {"import_module", "__import__"}


@dataclass(frozen=True)
class Code:
    """What a module and all that it imports consist of.

    Attributes:
        parts: digests of modules and of the files that they name, by name.
        versions: of the packages that count by their version, and of Python.
    """

    parts: Mapping[str, str]
    versions: Mapping[str, str]

    @property
    def digest(self) -> str:
        """SHA-256 over the parts."""
        return canonical.digest(dict(self.parts))


@dataclass(frozen=True)
class _Import:
    """`module`, and the name that is asked of it (None: all that is in it); `bound` is what it is called here."""

    module: str
    asked: str | None = None
    bound: str = ""


def code_of(modules: Iterable[str], package: str | None = None) -> Code:
    """The import closure of modules.

    Args:
        modules: full names.
        package: the distribution that they belong to; its declared requirements are among the versions.
    """
    parts: dict[str, str] = {}
    versions = {"python": f"{sys.version_info.major}.{sys.version_info.minor}", **_required(package)}
    pending, seen = [_Import(module) for module in modules], set[_Import]()
    find, files = functools.cache(locate), functools.cache(_files)
    while pending:
        wanted = pending.pop()
        if wanted in seen:
            continue
        seen.add(wanted)
        foreign = _by_version(wanted.module.partition(".")[0], package, tuple(sys.path))
        if foreign is not None:
            versions |= foreign
            continue
        file = find(wanted.module)
        if file is None:  # not installed here, or a folder without code
            continue
        module = _Module.read(wanted.module, file)
        if wanted.asked is None or wanted.asked not in module.exports:
            parts |= module.parts(files)
        else:
            parts[f"{wanted.module}:{wanted.asked}"] = module.origin(wanted.asked)
        pending += module.imports(wanted.asked, find)
    return Code(dict(sorted(parts.items())), dict(sorted(versions.items())))


def locate(module: str) -> Path | None:
    """The file of a module, found without importing it or its package; None where there is none."""
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
    """A module's file, as parsed; `exports` are the names that a package only passes on from its modules."""

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
        """Digests of its syntax and of the files of its package that it names."""
        named = _named(self.name, self.file, self.syntax.constants, files)
        digests = {f"{self.name}/{place}": canonical.file_digest(path) for place, path in named}
        return digests if self.exports else {self.name: self.syntax.digest, **digests}

    def origin(self, name: str) -> str:
        """Where a name that it passes on comes from."""
        return "; ".join(f"{i.module}.{i.asked}" for i in self._resolved() if i.bound == name)

    def imports(self, asked: str | None, find: Find) -> Iterator[_Import]:
        """What it imports; of the names that it only passes on, the one that is asked."""
        parents = self.name.split(".")[:-1]
        yield from (_Import(".".join(parents[: n + 1]), "") for n in range(len(parents)))
        for found in self._resolved():
            if found.bound in self.exports and asked not in (None, found.bound):
                continue
            module, name = found.module, found.asked
            if name and find(f"{module}.{name}"):
                yield from (_Import(f"{module}.{name}"), _Import(module, ""))
            else:
                yield _Import(module, name)

    def _resolved(self) -> Iterator[_Import]:
        for found in self.syntax.imports:
            try:
                yield _Import(resolve_name(found.module, self._package), found.asked, found.bound)
            except ImportError:  # beyond the package: fails when it is run
                continue


@dataclass(frozen=True)
class _Syntax:
    digest: str
    imports: tuple[_Import, ...] = ()
    exports: frozenset[str] = frozenset()
    constants: frozenset[str] = frozenset()


def read_source(file: Path) -> bytes:
    """The bytes of a source file."""
    return file.read_bytes()


@functools.lru_cache(maxsize=4096)
def _parse(content: bytes) -> _Syntax:
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):  # compiled, or for another Python
        return _Syntax(hashlib.sha256(content).hexdigest())
    exports = _exports(tree)
    _strip_docstrings(tree)
    nodes = list(_run(tree))
    return _Syntax(
        hashlib.sha256(ast.dump(tree).encode()).hexdigest(),
        tuple(found for node in nodes for found in _imports(node)),
        exports,
        frozenset(node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)),
    )


def _strip_docstrings(tree: ast.AST) -> None:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_text(body[0]):
            del body[0]


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those under `if TYPE_CHECKING:`, which are not run."""
    yield node
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test).rpartition(".")[2] == "TYPE_CHECKING":
            for other in child.orelse:
                yield from _run(other)
        else:
            yield from _run(child)


def _imports(node: ast.AST) -> Iterator[_Import]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield _Import(alias.name)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            asked = None if alias.name == "*" else alias.name
            yield _Import("." * node.level + (node.module or ""), asked, alias.asname or alias.name)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in _IMPORTERS and node.args:
        name = node.args[0]
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            yield _Import(name.value)


def _exports(tree: ast.Module) -> frozenset[str]:
    """The names in `__all__` of a module that holds nothing but imports: it only passes them on."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["__all__"]:
            try:
                names |= set(ast.literal_eval(node.value))
            except ValueError:
                return frozenset()
        elif not (_is_text(node) or isinstance(node, ast.Import | ast.ImportFrom)):
            return frozenset()
    return frozenset(names)


def _named(module: str, file: Path, constants: frozenset[str], files: Files) -> list[tuple[str, Path]]:
    """The files of a module's package that its string constants name; of a module without one, those beside it."""
    if not any(Path(constant).suffix for constant in constants):
        return []
    depth = module.count(".") + (file.name == "__init__.py")
    if not depth:
        return sorted((path.name, path) for path in file.parent.glob("*") if path.name in constants and path.is_file())
    return [(place, path) for place, path in files(file.parents[depth - 1]) if constants & {place, path.name}]


def _files(folder: Path) -> list[tuple[str, Path]]:
    """(place in the folder, path) of every file but packages' own and what Python compiled."""
    paths = sorted(path for path in folder.rglob("*") if "__pycache__" not in path.parts)
    return [(p.relative_to(folder).as_posix(), p) for p in paths if p.is_file() and p.name != "__init__.py"]


# -------------------------------------------------------------------------------------------- distributions


@functools.cache
def _by_version(top: str, package: str | None, path: tuple[str, ...]) -> dict[str, str] | None:
    """Versions of the distributions that hold a top-level module; None for one that counts by its content."""
    if top in sys.stdlib_module_names:
        return {}
    claims = [name for name in _claims(path).get(top, ()) if name]
    if top == CORE or not claims or any(name == package or _is_local(name) for name in claims):
        return None
    return {name: _version(name) for name in claims}


@functools.cache
def _claims(path: tuple[str, ...]) -> Mapping[str, list[str]]:
    """The distributions that hold each top-level module."""
    return metadata.packages_distributions()


def _is_local(name: str) -> bool:
    """Whether a distribution came from a path of this machine, or builds on mitobench."""
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
