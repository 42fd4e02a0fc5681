from typing import Any

class Facade:
    transport: Any
    def __init__(self, transport: Any) -> None: ...
