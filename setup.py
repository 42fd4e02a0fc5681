"""Builds engine/_fast/*.pyx.

ENGINE_DEBUG=1 builds with bounds checks and assertions, ENGINE_SANITIZE=1 for AddressSanitizer and
UndefinedBehaviorSanitizer, ENGINE_ANNOTATE=1 writes the HTML notes.
"""

import os
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

# Compilers are slow, and each module has its own.
processors = os.cpu_count() or 1
debug = os.environ.get("ENGINE_DEBUG") == "1"
sanitize = os.environ.get("ENGINE_SANITIZE") == "1"
sanitizers = ["-fsanitize=address,undefined", "-fno-omit-frame-pointer"] if sanitize else []
sources = sorted(Path("engine/_fast").glob("*.pyx"))
if not sources:
    raise SystemExit("engine/_fast has no .pyx files: what would be built here could not run")
directives = {
    "language_level": 3,
    "boundscheck": debug,
    "wraparound": debug,
    "initializedcheck": debug,
    "nonecheck": debug,
    "cdivision": not debug,
    "freethreading_compatible": False,
}
extensions = [
    Extension(
        f"engine._fast.{path.stem}",
        [str(path)],
        libraries=["dl"],
        extra_compile_args=[
            *(["-O1", "-g", "-UNDEBUG"] if debug else ["-O2", "-DCYTHON_WITHOUT_ASSERTIONS"]),
            *(["-O1", "-g", *sanitizers] if sanitize else []),
        ],
        extra_link_args=sanitizers,
    )
    for path in sources
]


def compiled() -> list[Extension]:
    """Translated to C, unless only a list of files or the names of what is needed is asked for."""
    if {"sdist", "egg_info", "dist_info"} & {*sys.argv}:
        return extensions
    return cythonize(
        extensions,
        nthreads=processors,
        compiler_directives=directives,
        annotate=os.environ.get("ENGINE_ANNOTATE") == "1",
        build_dir="build/debug" if debug else "build/release",
    )


setup(options={"build_ext": {"parallel": processors}}, ext_modules=compiled())
