"""Frames: what encodes decodes, in whatever portions; garbage gives one defined error and nothing else."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from overlaycast.errors import LocalProtocolError, RemoteProtocolError
from overlaycast.wire.frames import (
    BACK,
    BACK_LIMIT,
    DIGEST_SIZE,
    EDGE,
    GRANT_SIZE,
    HEADER,
    HEADER_SIZE,
    IDLE,
    MAX_RECORD,
    NONCE_SIZE,
    OLDEST,
    SEQ_LIMIT,
    Call,
    Challenge,
    Data,
    Decoder,
    Digests,
    End,
    Enter,
    Frame,
    Heartbeat,
    Hello,
    Kind,
    Knock,
    Offer,
    Proof,
    Refuse,
    RefuseCode,
    Start,
    Stop,
    data_header,
    encode,
)

u64 = st.integers(0, (1 << 64) - 1)
record_numbers = st.integers(0, SEQ_LIMIT - 1)
incarnations = st.integers(0, (1 << 16) - 1)
resume_points = record_numbers | st.sampled_from([IDLE, EDGE, OLDEST]) | st.integers(BACK, BACK + BACK_LIMIT - 1)
grants = st.binary(min_size=GRANT_SIZE, max_size=GRANT_SIZE)
proofs = st.binary(min_size=DIGEST_SIZE, max_size=DIGEST_SIZE)


@st.composite
def ends(draw: st.DrawFn) -> End:
    seq = draw(record_numbers)
    digest = draw(st.binary(min_size=DIGEST_SIZE, max_size=DIGEST_SIZE))
    return End(seq, draw(u64), draw(st.integers(0, seq)), digest, draw(incarnations))


frames = st.one_of(
    st.builds(Hello, grants, u64, resume_points, st.integers(0, 255), st.booleans()),
    st.builds(Start, resume_points, st.booleans()),
    st.just(Stop()),
    st.builds(Data, record_numbers, u64, st.binary(min_size=1, max_size=300), incarnations),
    st.builds(Heartbeat, record_numbers, u64, st.booleans(), st.booleans(), st.booleans()),
    ends(),
    st.builds(Refuse, st.sampled_from(RefuseCode), u64),
    st.builds(Call, grants),
    st.builds(Challenge, st.binary(min_size=NONCE_SIZE, max_size=NONCE_SIZE)),
    st.builds(Proof, st.binary(min_size=DIGEST_SIZE, max_size=DIGEST_SIZE)),
    st.builds(Knock, st.binary(min_size=NONCE_SIZE, max_size=NONCE_SIZE), st.integers(0, 255), st.booleans()),
    st.builds(Enter, u64, u64, u64, resume_points, proofs, st.booleans()),
    st.builds(Offer, u64, u64, proofs),
    st.builds(Digests, record_numbers, st.binary(min_size=1, max_size=300)),
)


@given(st.lists(frames, max_size=8), st.data())
def test_frames_survive_any_cutting(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(encode(frame) for frame in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    decoder = Decoder()
    received: list[Frame] = []
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += decoder.feed(stream[start:stop])
    assert received == sent
    assert decoder.held == 0
    assert decoder.peek() == b""


@given(st.lists(frames, min_size=1, max_size=3))
def test_frames_survive_one_byte_at_a_time(sent: list[Frame]) -> None:
    decoder = Decoder()
    received = [frame for byte in b"".join(map(encode, sent)) for frame in decoder.feed(bytes([byte]))]
    assert received == sent


def test_the_largest_record_passes_and_one_byte_more_does_not() -> None:
    whole = Data(7, 8, b"x" * MAX_RECORD)
    assert Decoder().feed(encode(whole)) == [whole]
    with pytest.raises(RemoteProtocolError, match="DATA frame of 65537 bytes; accepted: 1 to 65536"):
        Decoder().feed(HEADER.pack(Kind.DATA, 0, 0, MAX_RECORD + 1, 0, 0))
    with pytest.raises(LocalProtocolError):
        encode(Data(0, 0, b"x" * (MAX_RECORD + 1)))


@pytest.mark.parametrize(
    ("garbage", "complaint"),
    [
        (HEADER.pack(99, 0, 0, 0, 0, 0), "unknown frame kind 99"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "unknown frame kind"),
        (HEADER.pack(Kind.DATA, 0, 0, 0, 0, 0), "DATA frame of 0 bytes"),
        (HEADER.pack(Kind.START, 0, 0, 0, SEQ_LIMIT, 0), "resume point"),
        (HEADER.pack(Kind.START, 0, 0, 0, BACK + BACK_LIMIT, 0), "resume point"),
        (HEADER.pack(Kind.DIGESTS, 0, 0, 0, 0, 0), "DIGESTS frame of 0 bytes"),
        (HEADER.pack(Kind.DATA, 0, 0, 1, SEQ_LIMIT, 0) + b"x", "record number"),
        (HEADER.pack(Kind.REFUSE, 200, 0, 8, 0, 0) + bytes(8), "unknown refusal code 200"),
        (HEADER.pack(Kind.END, 0, 0, 40, 5, 0) + (9).to_bytes(8, "big") + bytes(32), "END at 5"),
        (encode(Hello(bytes(16), 1, 0)).replace(b"OCST", b"XXXX"), "HELLO without .* another protocol"),
        (encode(Knock(bytes(16))).replace(b"OCST", b"XXXX"), "KNOCK without .* another protocol"),
        (encode(Enter(1, 1, 1, EDGE, bytes(32))).replace(b"\xff\xfe", b"\xf0\0"), "resume point"),
        (HEADER.pack(Kind.OFFER, 0, 0, 47, 0, 0), "OFFER frame of 47 bytes; accepted: 48 to 48"),
    ],
)
def test_garbage_is_named(garbage: bytes, complaint: str) -> None:
    decoder = Decoder()
    with pytest.raises(RemoteProtocolError, match=complaint):
        decoder.feed(garbage)
    with pytest.raises(RemoteProtocolError, match="already broken"):
        decoder.feed(encode(Stop()))


@pytest.mark.parametrize(
    "frame",
    [
        Hello(b"short", 1, 0),
        Hello(bytes(GRANT_SIZE), -1, 0),
        End(1, 0, 0, b"short"),
        Call(b""),
        Knock(b"short"),
        Enter(1, 2, 3, 4, b"short"),
        Enter(1, 1 << 64, 3, 4, bytes(32)),
        Offer(1, 2, b"short"),
        Data(SEQ_LIMIT, 0, b"x"),
        Data(0, 0, b""),
        Start(1 << 64),
    ],
)
def test_our_own_mistakes_are_ours(frame: Frame) -> None:
    with pytest.raises(LocalProtocolError):
        encode(frame)


def test_a_header_stands_alone() -> None:
    assert data_header(3, 4, 5) + b"abcde" == encode(Data(3, 4, b"abcde"))


def fuzz(total_bytes: int, seed: int) -> tuple[int, int]:
    """Feed mutated frame streams; return (frames decoded, links broken). Anything but the defined error escapes."""
    rng = random.Random(seed)
    samples: list[Frame] = [
        Hello(rng.randbytes(16), 5, EDGE),
        Data(1, 2, rng.randbytes(200)),
        Heartbeat(9, 3, True),
        End(9, 1, 0, bytes(32)),
        Refuse(RefuseCode.GONE, 4),
        Start(5),
        Stop(),
        Call(bytes(16)),
        Digests(64, rng.randbytes(96)),
    ]
    fed = decoded = broken = 0
    while fed < total_bytes:
        stream = bytearray(b"".join(encode(rng.choice(samples)) for _ in range(rng.randint(1, 40))))
        for _ in range(rng.randint(0, 4)):
            stream[rng.randrange(len(stream))] = rng.randrange(256)
        decoder = Decoder()
        try:
            for start in range(0, len(stream), 97):
                decoded += len(decoder.feed(stream[start : start + 97]))
                assert decoder.held < HEADER_SIZE + MAX_RECORD
        except RemoteProtocolError:
            broken += 1
        fed += len(stream)
    return decoded, broken


def test_fuzz() -> None:
    decoded, broken = fuzz(300_000, seed=1)
    assert decoded > 0
    assert broken > 0


@pytest.mark.slow
def test_fuzz_ten_million_bytes() -> None:
    decoded, broken = fuzz(10_000_000, seed=2)
    assert decoded > 0
    assert broken > 0
