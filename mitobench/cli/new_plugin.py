"""`mitobench new-plugin` writes a package with a working plugin, `mitobench check-plugin` holds one to the contract."""

from __future__ import annotations

import re
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.terminal import echo
from mitobench.foreign import printable

if TYPE_CHECKING:
    from mitobench.contract import Check

KINDS = {
    "estimator": {
        "title": "The box of the dark spot under a centroid",
        "training_data": "none",
        "dependencies": '"numpy", "scipy"',
        "run": "--estimator {name} --verifier none",
    },
    "detector": {
        "title": "Spots about as dark as the mitoses it has seen",
        "training_data": "only what it is fitted on",
        "dependencies": '"numpy", "scipy"',
        "run": "--detector {name} --verifier none",
    },
    "verifier": {
        "title": "A logistic regression on how dark a candidate is",
        "training_data": "only what it is fitted on",
        "dependencies": '"numpy", "scikit-learn", "scipy"',
        "run": "--verifier {name}",
    },
    "fuser": {
        "title": "The weighted geometric mean of both scores",
        "training_data": "none",
        "dependencies": '"numpy"',
        "run": "--fuser {name}",
    },
}
RESERVED = {"all", "none"}  # `--detector all` means every detector, `--verifier none` that there is none
MAX_NAME = 60  # characters: it becomes the name of files and of a module


def new_plugin(
    name: Annotated[str, typer.Argument(help="Of the plugin: small letters, digits, dashes; a letter first.")],
    kind: Annotated[str, typer.Option("--kind", "-k", help="estimator, detector, verifier or fuser.")] = "detector",
    folder: Annotated[Path, typer.Option(help="Where the package's folder is put.")] = Path("."),
) -> None:
    """Write a package with a small working plugin of that kind, ready to install and to be changed.

    Example: mitobench new-plugin mine --kind detector
    """
    from mitobench.atomic import write_text_whole

    values = _values(name, kind)
    target = folder / name
    _refuse_taken(name, kind, values["module"], target)
    files = {target / path: text for path, text in _render(values).items()}
    for path, text in files.items():
        write_text_whole(path, text)
        echo(f"wrote {path}")
    echo("\nNow:\n", lines=True)
    echo(f"  pip install -e {target}")
    echo(f"  mitobench check-plugin {name}")
    echo(f"  mitobench run {values['run']}")


def _values(name: str, kind: str) -> dict[str, str]:
    """What the templates are filled with. Raises MitobenchError for a name or a kind that cannot be."""
    from mitobench import __version__
    from mitobench.api import API_VERSION
    from mitobench.errors import MitobenchError, nearest

    if kind not in KINDS:
        raise MitobenchError(f"--kind {kind}: there is no such kind of plugin. {nearest(kind, KINDS)}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or name in RESERVED or len(name) > MAX_NAME:
        raise MitobenchError(
            f"A plugin cannot be called {printable(repr(name), 80)}: take small letters, digits and single dashes, "
            f"a letter first, at most {MAX_NAME} characters, and none of {', '.join(sorted(RESERVED))}; for example "
            f"my-{kind}."
        )
    return {
        **KINDS[kind],
        "name": name,
        "kind": kind,
        "needs": _range(__version__),
        "api_version": str(API_VERSION),
        "package": f"mitobench-{name}",
        "module": f"mitobench_{name.replace('-', '_')}",
        "cls": _class_name(name, kind),
        "run": KINDS[kind]["run"].format(name=name),
    }


def _range(version: str) -> str:
    """The versions of mitobench that a plugin written for this one states: up to the next that may differ."""
    major, minor = map(int, version.split(".")[:2])
    return f">={major}.{minor},<{major}.{minor + 1}" if major == 0 else f">={major}.{minor},<{major + 1}"


def _class_name(name: str, kind: str) -> str:
    """`MyPlugin` for `my-plugin`; with the kind behind it where the template has that word: `Path`, `None`."""
    cls = "".join(part.capitalize() for part in name.split("-"))
    taken = re.findall(r"\w+", (Path(__file__).parents[1] / "templates" / "plugin" / f"{kind}.py.j2").read_text())
    return f"{cls}{kind.capitalize()}" if iskeyword(cls) or cls in taken else cls


def _refuse_taken(name: str, kind: str, module: str, target: Path) -> None:
    """Raises MitobenchError where something has the plugin's name, its module's, or its folder's already."""
    from importlib.util import find_spec

    from mitobench import discovery
    from mitobench.errors import MitobenchError

    if name in discovery.names(kind):
        package = discovery.found()[kind][name][0].package
        raise MitobenchError(f"There is a {kind} {name!r} already, of package {package}. Take another name.")
    if find_spec(module) is not None:
        raise MitobenchError(f"There is a module {module} already; the package would hide it. Take another name.")
    if target.exists():
        raise MitobenchError(f"{target} is there already, and is left as it is. Take another name or --folder.")


def _render(values: dict[str, str]) -> dict[str, str]:
    """The package's files, by path within its folder."""
    import jinja2

    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("mitobench", "templates/plugin"),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # the files are code, not HTML
    )
    sources = {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        f"{values['module']}/__init__.py": f"{values['kind']}.py",
        f"{values['module']}/{values['name']}.toml": "card.toml",
        "tests/test_contract.py": "test_contract.py",
    }
    return {path: templates.get_template(f"{source}.j2").render(values) for path, source in sources.items()}


def check_plugin(
    name: Annotated[str, typer.Argument(help="Of an installed plugin, as `mitobench list` shows it.")],
    role: Annotated[
        str | None, typer.Option(help="estimator, detector, verifier or fuser; needed where several have the name.")
    ] = None,
) -> None:
    """Hold a plugin to the contract, on tiny frames with a tiny budget. Exit code 1 when it breaks it.

    Example: mitobench check-plugin blobs
    """
    from mitobench import contract

    checks = contract.checks(role or contract.find_role(name), name)
    width = max(len(check.title) for check in checks)
    reasons = []
    for check in checks:
        echo(f"{check.title:{width}}  ", nl=False)
        reason = _reason(check)
        echo("ok", fg="green") if reason is None else echo("FAILED", fg="red", bold=True)
        if reason and reason not in reasons:
            echo(f"    {reason}", lines=True)
        reasons += [reason] if reason else []
    if reasons:
        echo(f"{len(reasons)} of {len(checks)} checks FAILED.")
        raise typer.Exit(1)
    echo(f"{name} keeps the contract.")


def _reason(check: Check) -> str | None:
    """Why a check fails; None where it does not."""
    from mitobench.errors import MitobenchError

    try:
        check()
    except MitobenchError as reason:
        return str(reason)
    return None
