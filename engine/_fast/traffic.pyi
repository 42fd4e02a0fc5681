class Traffic:
    app_id: str
    connections: int
    opened: int
    closed: int
    received_bytes: int
    received_messages: int
    sent_bytes: int
    sent_messages: int
    publishes: int
    publish_received_bytes: int
    publish_sent_bytes: int
    broadcasts: int
    delivered: int
    shared: int
    def __init__(self, app_id: str) -> None: ...
