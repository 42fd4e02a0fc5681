from engine._fast.signature import Signer

def signed_plainly(
    signer: Signer, key: str, method: bytes, path: bytes, query: bytes, body: bytes, now_s: float, window_s: float
) -> bool: ...
