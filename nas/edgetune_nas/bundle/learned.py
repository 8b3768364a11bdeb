"""What a bundle remembers of data: fingerprints of windows it has learned, and a few windows to test itself with."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from edgetune_nas.bundle.files import read_verified
from edgetune_nas.card import MAX_SELF_TEST_WINDOWS, Learned
from edgetune_nas.errors import BundleError
from edgetune_nas.onnx_io import DISTANCE, OUTPUT
from edgetune_signal.errors import RecordingError
from edgetune_signal.recordings import open_npz

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgetune_nas.bundle.read import Bundle

LEARNED: Final = "learned.bin"
SELF_TEST: Final = "selftest.npz"
PRINT_BYTES: Final = 8
"""Bytes of a fingerprint: of a million windows, two share one by chance once in some ten million bundles."""
MAX_RECORDINGS: Final = 256
"""Recordings whose fingerprints the card lists; of more it lists none, so that it stays readable."""
SELF_TEST_BYTES: Final = 256 * 1024
"""Most bytes of self-test windows; one window is kept whatever its size."""


def fingerprints(x: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return a fingerprint ``uint64 (windows,)`` of each window's samples (BLAKE2b of their little-endian bytes)."""
    digests = [
        hashlib.blake2b(np.ascontiguousarray(window, "<f4").data, digest_size=PRINT_BYTES).digest() for window in x
    ]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def recording_fingerprints(prints: NDArray[np.uint64], recording: NDArray[np.integer]) -> list[str]:
    """Return a fingerprint of each recording's windows, whatever their order; none of more than `MAX_RECORDINGS`."""
    numbers = np.unique(recording)
    if len(numbers) > MAX_RECORDINGS:
        return []
    each = (np.sort(prints[recording == number]).astype("<u8").tobytes() for number in numbers)
    return [hashlib.blake2b(content, digest_size=PRINT_BYTES).hexdigest() for content in each]


def pack_learned(x: NDArray[np.float32], recording: NDArray[np.integer] | None) -> tuple[bytes, Learned]:
    """Return the contents of ``learned.bin`` (sorted fingerprints, little-endian), and what the card says of them."""
    prints = fingerprints(x)
    of = [] if recording is None else recording_fingerprints(prints, recording)
    return np.unique(prints).astype("<u8").tobytes(), Learned(windows=len(prints), recordings=of)


def seen(bundle: Bundle, x: NDArray[np.float32]) -> NDArray[np.bool_] | None:
    """Mark the windows of ``x`` that a bundle has learned; None where it does not know what it has learned.

    A window counts where it was cut at the same samples.

    Raises
    ------
    BundleError
        When the bundle's list is damaged.
    """
    expected = bundle.card.sha256.get(LEARNED)
    if expected is None:
        return None
    data = read_verified(bundle.path, {LEARNED: expected}, {})[LEARNED]
    if len(data) % PRINT_BYTES:
        raise BundleError(f"{bundle.path / LEARNED} is no list of fingerprints; restore the bundle or search again")
    return np.isin(fingerprints(x), np.frombuffer(data, "<u8"))


def pick_self_test(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return some windows, evenly spaced: as many as a bundle may keep."""
    count = min(len(x), MAX_SELF_TEST_WINDOWS, max(1, SELF_TEST_BYTES // x[0].nbytes))
    picked: NDArray[np.float32] = x[np.linspace(0, len(x) - 1, count).astype(int)]
    return picked


def pack_self_test(x: NDArray[np.float32], said: NDArray[np.floating], output: str = OUTPUT) -> bytes:
    """Return the contents of ``selftest.npz``: windows, and what the float network says of them ``(windows, rows)``."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {"x": x, output: said}
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def self_test(bundle: Bundle) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
    """Return self-test windows and what the float network gave; None where a bundle keeps none.

    That are probabilities ``(windows, classes)``, or a health model's distances ``(windows, 1)``.

    Raises
    ------
    BundleError
        When they are damaged, or not the card's.
    """
    card, path = bundle.card, bundle.path / SELF_TEST
    if card.self_test_windows is None:
        return None
    if SELF_TEST not in card.sha256:
        raise BundleError(f"{bundle.path.name} has no {SELF_TEST}, which its card speaks of; restore the bundle")
    count, output = card.self_test_windows, DISTANCE if card.kind == "health" else OUTPUT
    wanted = ((count, card.input.channels, card.input.length), (count, len(card.classes)))
    limit = MAX_SELF_TEST_WINDOWS * 4 * max(card.input.channels * card.input.length, len(card.classes))
    try:
        with open_npz(path, read_verified(bundle.path, {SELF_TEST: card.sha256[SELF_TEST]}, {})[SELF_TEST]) as npz:
            npz.require("x", output)
            x, said = (npz.array(name, max_bytes=limit) for name in ("x", output))
    except RecordingError as error:
        raise BundleError(f"{path} holds no self-test ({error}); restore the bundle") from error
    if (x.shape, said.shape) != wanted or not np.isfinite(x).all():
        raise BundleError(f"{path} holds {x.shape} windows where the card says {wanted[0]}; restore the bundle")
    return x.astype(np.float32), said.astype(np.float32)
