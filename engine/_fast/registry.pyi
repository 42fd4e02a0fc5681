class Registry:
    stale: bool
    changes: int
