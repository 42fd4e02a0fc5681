import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine._fast.frame import close_frame, payload_of, pong_frame, spliced_frame, text_frame

# RFC 6455 section 5.2: the length's form changes after 125 and after 65,535 bytes.
HEADERS = [
    (0, b"\x81\x00"),
    (1, b"\x81\x01"),
    (125, b"\x81\x7d"),
    (126, b"\x81\x7e\x00\x7e"),
    (65535, b"\x81\x7e\xff\xff"),
    (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
]


@pytest.mark.parametrize(("size", "header"), HEADERS)
def test_text_frame_has_the_shortest_header(size: int, header: bytes) -> None:
    payload = b"x" * size
    assert text_frame(payload) == header + payload
    assert payload_of(text_frame(payload)) == payload


@given(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300))
def test_spliced_frame_is_the_frame_of_the_joined_text(prefix: bytes, middle: bytes, suffix: bytes) -> None:
    assert spliced_frame(prefix, middle, suffix) == text_frame(prefix + middle + suffix)


def test_close_frame_carries_code_and_reason() -> None:
    assert close_frame(4001, "no") == b"\x88\x04\x0f\xa1no"


def test_close_reason_is_cut_at_a_character() -> None:
    frame = close_frame(4001, "é" * 100)
    assert frame[1] == 2 + 122
    assert frame[4:].decode() == "é" * 61


def test_pong_frame_echoes_the_ping() -> None:
    assert pong_frame(b"abc") == b"\x8a\x03abc"


@pytest.mark.parametrize("junk", [b"", b"\x81", b"\x81\x05abc", b"\x81\x01ab", b"\x81\x7e\x00\x05abcde"])
def test_payload_of_refuses_what_is_not_one_frame(junk: bytes) -> None:
    with pytest.raises(ValueError, match="frame"):
        payload_of(junk)
