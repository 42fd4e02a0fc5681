"""What `make install-test` built: the packages hold all that the source has, and what was installed needs no clone."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.engine import PYTHON, ROOT

BUILT = ROOT / "build" / "dist"
#: Extra -> a module of its library, and the one of ours that uses it.
EXTRAS = {
    "aws": ("aiobotocore", "engine.aws"),
    "mysql": ("aiomysql", "engine.apps.sources.mysql"),
    "otel": ("opentelemetry.exporter.otlp.proto.http", "engine.spans.export"),
    "postgres": ("asyncpg", "engine.apps.sources.postgres"),
    "sqlite": ("sqlite3", "engine.apps.sources.sqlite"),
}

pytestmark = pytest.mark.skipif(
    "ENGINE_TEST_PYTHON" not in os.environ, reason="only `make install-test` builds packages"
)


def _of_the_source() -> set[str]:
    """Every file of the engine that is under version control."""
    listed = subprocess.run(["git", "ls-files", "engine"], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(listed.stdout.split())


def test_the_sdist_has_all_that_a_build_needs() -> None:
    (path,) = BUILT.glob("engine-*.tar.gz")
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    wanted = _of_the_source() | {"pyproject.toml", "setup.py", "README.md", "LICENSE"}
    assert len(wanted) > 300
    assert wanted <= held, sorted(wanted - held)
    assert not [name for name in held if name.startswith(("tests", "benchmarks", "docs"))]


def test_the_wheel_made_of_it_has_them_compiled() -> None:
    (path,) = BUILT.glob("engine-*.whl")
    held = set(zipfile.ZipFile(path).namelist())
    wanted = _of_the_source()
    assert wanted <= held, sorted(wanted - held)
    compiled = {name.partition(".")[0] for name in held if name.endswith(".so")}
    assert compiled == {name.removesuffix(".pyx") for name in wanted if name.endswith(".pyx")}
    assert len(compiled) > 30


def _installed(program: str) -> str:
    """What a program says that sees only what was installed."""
    ran = subprocess.run(
        [PYTHON, "-I", "-c", program], cwd="/", capture_output=True, text=True, check=False, timeout=60
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_it_runs_from_where_it_was_installed() -> None:
    assert not Path(_installed("import engine; print(engine.__file__)").strip()).is_relative_to(ROOT / "engine")
    # Its costs are data of the package, as the console's page and the scripts for Redis are.
    ran = subprocess.run(
        [PYTHON, "-I", "-m", "engine", "capacity", "--connections", "1e5", "--json"],
        cwd="/", capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert json.loads(ran.stdout)


def test_the_extras_are_those_that_the_pages_name() -> None:
    told = _installed("from importlib.metadata import metadata; print(*metadata('engine').get_all('Provides-Extra'))")
    assert {*told.split()} - {"test", "bench"} == {*EXTRAS}


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_brings_its_driver(extra: str) -> None:
    library, ours = EXTRAS[extra]
    _installed(f"import {library}, {ours}")
