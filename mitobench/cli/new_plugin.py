"""`mitobench new-plugin` writes a package with a working plugin; `mitobench check-plugin` checks the contract."""

from __future__ import annotations

import re
import time
from contextlib import suppress
from keyword import iskeyword
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mitobench.cli.options import Sets
from mitobench.cli.terminal import echo
from mitobench.foreign import printable

if TYPE_CHECKING:
    from mitobench.contract import Check

KINDS = {
    "estimator": {
        "title": "The box of the dark spot under a centroid",
        "training_data": "none",
        "dependencies": '"numpy", "scipy"',
        "run": "--estimator fixed,{name} --verifier none --out my-leaderboard",
    },
    "detector": {
        "title": "Spots about as dark as the mitoses it has seen",
        "training_data": "only what it is fitted on",
        "dependencies": '"numpy", "scipy"',
        "run": "--detector blobs,{name} --verifier none --out my-leaderboard",
    },
    "verifier": {
        "title": "A logistic regression on how dark a candidate is",
        "training_data": "only what it is fitted on",
        "dependencies": '"numpy", "scikit-learn", "scipy"',
        "run": "--detector blobs --verifier none,{name} --out my-leaderboard",
    },
    "fuser": {
        "title": "The weighted geometric mean of both scores",
        "training_data": "none",
        "dependencies": '"numpy"',
        "run": "--fuser linear,{name} --out my-leaderboard",
    },
    "dataset": {
        "title": "Images of one folder, with the centres of their mitoses",
        "training_data": "",
        "dependencies": '"numpy"',
        "run": "--dataset {name} --data FOLDER",
    },
}
RESERVED = {"all", "none"}  # `--detector all` means every detector, `--verifier none` no verifier
MAX_NAME = 60  # characters; the name is used for files and a module


def new_plugin(
    name: Annotated[
        str,
        typer.Argument(
            help="Name of the plugin: lower-case letters, digits and single dashes, starting with a letter."
        ),
    ],
    kind: Annotated[
        str, typer.Option("--kind", "-k", help="What to write: estimator, detector, verifier, fuser or dataset.")
    ] = "detector",
    folder: Annotated[Path, typer.Option(help="Folder in which the package's folder is created.")] = Path("."),
) -> None:
    """Write a package with a small working plugin, as a starting point for your own.

    Example: mitobench new-plugin mine --kind detector
    """
    from mitobench.atomic import write_text_atomic

    values = _values(name, kind)
    target = folder / name
    _refuse_taken(name, kind, values["module"], target)
    files = {target / path: text for path, text in _render(values).items()}
    for path, text in files.items():
        write_text_atomic(path, text)
        echo(f"wrote {path}")
    echo("\nNext steps:\n", lines=True)
    echo(f"  pip install -e {target}")
    echo(f"  mitobench check-plugin {name}")
    echo(f"  mitobench run {values['run']}")
    echo(f"\nThe code is an example: replace it, and its title in {values['module']}/{name}.toml.", lines=True)


def _values(name: str, kind: str) -> dict[str, str]:
    """Returns the values for the templates. Raises MitobenchError for an invalid name or kind."""
    from mitobench import __version__
    from mitobench.api import API_VERSION
    from mitobench.errors import MitobenchError, nearest

    if kind not in KINDS:
        raise MitobenchError(f"--kind: unknown kind of plugin {kind!r}. {nearest(kind, KINDS)}")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or name in RESERVED or len(name) > MAX_NAME:
        raise MitobenchError(
            f"{printable(repr(name), 80)} is not a valid plugin name. Use lower-case letters, digits, single dashes, "
            f"starting with a letter, at most {MAX_NAME} characters, for example my-{kind}. "
            f"The names {' and '.join(sorted(RESERVED))} are reserved."
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
    """The range of mitobench versions that a new plugin requires: from this one up to the next incompatible one."""
    major, minor = map(int, version.split(".")[:2])
    return f">={major}.{minor},<{major}.{minor + 1}" if major == 0 else f">={major}.{minor},<{major + 1}"


def _class_name(name: str, kind: str) -> str:
    """`MyPlugin` for `my-plugin`. Adds the kind if the template uses that word already, as `Path` or `None`."""
    cls = "".join(part.capitalize() for part in name.split("-"))
    used = re.findall(r"\w+", (Path(__file__).parents[1] / "templates" / "plugin" / f"{kind}.py.j2").read_text())
    return f"{cls}{kind.capitalize()}" if iskeyword(cls) or cls in used else cls


def _refuse_taken(name: str, kind: str, module: str, target: Path) -> None:
    """Raises MitobenchError if the name of the plugin, its module or its folder is already in use."""
    from importlib.util import find_spec

    from mitobench import discovery
    from mitobench.errors import MitobenchError

    if name in discovery.names(kind):
        package = discovery.found()[kind][name][0].package
        raise MitobenchError(f"Package {package} already has a {kind} {name!r}. Choose another name.")
    if find_spec(module) is not None:
        raise MitobenchError(f"A module {module} already exists, which the package would hide. Choose another name.")
    if target.exists():
        raise MitobenchError(
            f"{target}: exists already, and is not overwritten. Choose another name, or another --folder."
        )


def _render(values: dict[str, str]) -> dict[str, str]:
    """Renders the package's files, by path within its folder."""
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
    if values["kind"] == "dataset":
        sources[f"{values['module']}/{values['name']}.toml"] = "dataset-card.toml"
        sources[f"{values['module']}/splits/{values['name']}-by-slide.json"] = "dataset-split.json"
    return {path: templates.get_template(f"{source}.j2").render(values) for path, source in sources.items()}


def check_plugin(
    name: Annotated[
        str, typer.Argument(help="Name of an installed plugin, as shown by `mitobench list`, or FAMILY:ARGUMENT.")
    ],
    role: Annotated[
        str | None,
        typer.Option(
            help="estimator, detector, verifier, fuser or dataset. Needed if several roles have a plugin of this name."
        ),
    ] = None,
    set_: Sets = None,
) -> None:
    """Check that a plugin does what the harness requires of its role, on tiny frames and with short training.

    Each line shows the seconds that the check took. Checks share one fit, so the first of them that needs it takes
    longest.

    Exit code 0: all checks passed; 1: some failed.

    Example: mitobench check-plugin heatmap:resnet18 --set detector.patch=64
    """
    from mitobench import contract, discovery
    from mitobench.errors import PluginError
    from mitobench.foreign.specs import typed_specs

    role, spec = role or contract.find_role(name), name
    with suppress(PluginError), typed_specs():  # a check reports a plugin that is broken
        spec = discovery.spelled(role, name)
    checks = contract.checks(role, spec, set_ or ())
    width = max(len(check.title) for check in checks)
    reasons = []
    for check in checks:
        echo(f"{check.title:{width}}  ", nl=False)
        started = time.perf_counter()
        reason = _reason(check)
        echo("ok" if reason is None else "FAILED", fg="green" if reason is None else "red", bold=bool(reason), nl=False)
        echo(f"  {time.perf_counter() - started:.1f} s")
        if reason and reason not in reasons:
            echo(f"    {reason}", lines=True)
        reasons += [reason] if reason else []
        if reason and check is checks[0]:
            echo(f"The other {len(checks) - 1} checks were not run: they need this one.")
            raise typer.Exit(1)
    if reasons:
        echo(f"{len(reasons)} of {len(checks)} checks FAILED.")
        raise typer.Exit(1)
    echo(f"{name} passes all checks.")


def _reason(check: Check) -> str | None:
    """Runs a check; returns why it failed, or None if it passed."""
    from mitobench.errors import MitobenchError

    try:
        check()
    except MitobenchError as reason:
        return str(reason)
    return None
