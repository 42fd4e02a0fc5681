"""In every process of an engine that a test looks into: says how many objects of each type its garbage collector
looks at.

Python imports it by its name. What was frozen at the start is looked at no more, and not counted.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import types
import weakref
from collections import Counter
from pathlib import Path

#: Names the folder of answers; each process has a file there, by its number.
FOLDER = "ENGINE_TEST_OBJECTS"
#: The engine uses none of these, and hands what it does not know on to its children.
ASK = signal.SIGRTMIN + 4
#: By these each abstract class remembers of which classes it was asked, now or later.
_OF_CLASSES = (set, types.BuiltinFunctionType, weakref.ref)


def _answer(*_: object) -> None:
    # Twice: tuples of what need not be looked at are looked at once, and then what holds them.
    gc.collect()
    gc.collect()
    path = Path(os.environ[FOLDER], str(os.getpid()))
    new = path.with_suffix(".new")
    counted = Counter(str(type(found)) for found in gc.get_objects() if type(found) not in _OF_CLASSES)
    new.write_text(json.dumps(counted))
    new.rename(path)


if FOLDER in os.environ:
    signal.signal(ASK, _answer)
