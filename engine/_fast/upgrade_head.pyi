from collections.abc import Sequence

class UpgradeHead:
    path: bytes
    origin: str | None
    answer: bytes
    size: int
    def getall(self, name: str, default: tuple[str, ...]) -> Sequence[str]: ...

def read_upgrade(data: bytes, most: int) -> UpgradeHead | None: ...
