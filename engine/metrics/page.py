"""The metrics page: the numbers of all workers, put together as text (format 0.0.4).

An own writer, because sample names must be exactly those that dashboards for other servers ask for (M-1, M-5): nothing
is appended to them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from engine.metrics.families import Family, split_key

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})

Labels = tuple[str, ...]


def render(families: Sequence[Family], numbers: Iterable[tuple[str, float]], prefix: str, port: str) -> bytes:
    """The page.

    :param numbers: stored key and number, the same key once for each process that has it.
    :param port: the server's main port, a label of every sample (M-1).
    """
    largest = {family.name for family in families if family.combine == "max"}
    samples: dict[str, dict[Labels, float]] = {}
    for key, number in numbers:
        name, labels = split_key(key)
        series = samples.setdefault(name, {})
        before = series.get(labels)
        if before is None:
            series[labels] = number
        else:
            series[labels] = max(before, number) if name in largest else before + number
    return "".join(_lines(families, samples, prefix, port)).encode(errors="replace")


def _lines(
    families: Sequence[Family], samples: dict[str, dict[Labels, float]], prefix: str, port: str
) -> Iterator[str]:
    for family in families:
        name = prefix + family.name
        yield f"# HELP {name} {family.help}\n# TYPE {name} {family.kind}\n"
        names = (*family.labels, "port")
        if family.kind == "histogram":
            buckets, sums = samples.get(family.bucket, {}), samples.get(family.sum, {})
            for labels in sorted(sums):
                yield from _histogram(name, family, labels, buckets, sums[labels], port)
        else:
            for labels, number in sorted(samples.get(family.name, {}).items()):
                yield _line(name, names, (*labels, port), number)


def _histogram(
    name: str, family: Family, labels: Labels, buckets: dict[Labels, float], total: float, port: str
) -> Iterator[str]:
    names, values = (*family.labels, "port"), (*labels, port)
    count = 0.0
    for index, bound in enumerate([*map(_number, family.bounds), "+Inf"]):
        count += buckets.get((*labels, str(index)), 0.0)
        yield _line(f"{name}_bucket", (*names, "le"), (*values, bound), count)
    yield _line(f"{name}_sum", names, values, total)
    yield _line(f"{name}_count", names, values, count)


def _line(name: str, names: Labels, values: Labels, number: float) -> str:
    pairs = ",".join(f'{label}="{value.translate(_ESCAPES)}"' for label, value in zip(names, values, strict=True))
    return f"{name}{{{pairs}}} {_number(number)}\n"


def _number(number: float) -> str:
    """Whole numbers are written without a fraction."""
    number = float(number)
    return str(int(number)) if number.is_integer() else repr(number)
