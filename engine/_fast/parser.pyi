from typing import Any

class Parsers:
    def __init__(self, max_frame_bytes: int, faults: Any) -> None: ...
