class Traffic:
    app_id: str
    connections: int
    opened: int
    closed: int
    received_bytes: int
    received_messages: int
    sent_bytes: int
    sent_messages: int
    def __init__(self, app_id: str) -> None: ...
