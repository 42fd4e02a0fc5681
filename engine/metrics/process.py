"""What each process takes from its machine, and how long it keeps its clients waiting. Declarations only.

Named as the official Prometheus clients name the same things, after the configured prefix (M-2).
"""

from __future__ import annotations

from engine.metrics.registry import Registry

_WORKER = ("worker",)
#: A loop that is never late answers within its poll; beyond 50 ms people notice, at 5 s the supervisor does.
_PAUSES_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class ProcessMetrics:
    """:ivar loop_lag_s: how late a timer fires: what a message may have to wait before anybody looks at it."""

    def __init__(self, declare: Registry) -> None:
        gauge, histogram = declare.gauge, declare.histogram
        self.build = gauge("build_info", "1, with what is running as labels.", ("version", "python"), "max")
        self.cpu_s = declare.counter(
            "process_cpu_seconds_total", "CPU seconds of a worker and of those before it.", _WORKER
        )
        self.user_cpu_s = declare.counter(
            "process_cpu_user_seconds_total", "CPU seconds in the program's own code.", _WORKER
        )
        self.system_cpu_s = declare.counter("process_cpu_system_seconds_total", "CPU seconds in the kernel.", _WORKER)
        self.virtual_bytes = gauge("process_virtual_memory_bytes", "Address space of a worker.", _WORKER)
        self.resident_bytes = gauge("process_resident_memory_bytes", "Memory of a worker.", _WORKER)
        self.open_fds = gauge("process_open_fds", "Descriptors that a worker has open.", _WORKER)
        self.max_fds = gauge("process_max_fds", "Descriptors that it may have open.", _WORKER)
        self.started_s = gauge("process_start_time_seconds", "When a worker started, in Unix time.", _WORKER)
        self.memory_used_bytes = gauge(
            "memory_used_bytes", "Memory in use in the container, or the machine, that is fullest.", (), "max"
        )
        self.memory_limit_bytes = gauge("memory_limit_bytes", "Memory that it has.", (), "max")
        self.connection_objects = gauge(
            "connection_objects", "Connections in a worker's memory, ended ones that it still holds included.", _WORKER
        )
        self.loop_lag_s = histogram(
            "event_loop_lag_seconds", "How late a worker's event loop is for a timer.", _WORKER, _PAUSES_S
        )
        self.collection_s = histogram(
            "gc_pause_seconds", "How long the garbage collector stopped a worker.", _WORKER, _PAUSES_S
        )
