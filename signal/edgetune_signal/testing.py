"""The checks of every source, for plug-ins written against 0.1.0; they are in `edgetune_signal.sources.conformance`."""

from edgetune_signal.sources.conformance import (
    CHECKS,
    CHUNKS,
    DEADLINE_S,
    NO_SUCH_NAME,
    check_a_closed_source_ends,
    check_a_wrong_name_is_refused_and_the_stream_goes_on,
    check_chunks_are_counted_from_zero,
    check_chunks_keep_to_the_specification,
    check_chunks_own_their_samples,
    check_closing_wakes_a_reader,
    check_reading_with_no_time_returns_at_once,
    check_source,
    check_time_stamps_follow_the_samples,
    read_chunk,
    sending,
)

__all__ = [
    "CHECKS",
    "CHUNKS",
    "DEADLINE_S",
    "NO_SUCH_NAME",
    "check_a_closed_source_ends",
    "check_a_wrong_name_is_refused_and_the_stream_goes_on",
    "check_chunks_are_counted_from_zero",
    "check_chunks_keep_to_the_specification",
    "check_chunks_own_their_samples",
    "check_closing_wakes_a_reader",
    "check_reading_with_no_time_returns_at_once",
    "check_source",
    "check_time_stamps_follow_the_samples",
    "read_chunk",
    "sending",
]
