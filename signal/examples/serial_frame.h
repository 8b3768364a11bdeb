/* Frames for a serial line: a sample block and the CRC-32 of its bytes. Plain C, without heap, also for an Arduino. */
#ifndef EDGETUNE_SERIAL_FRAME_H
#define EDGETUNE_SERIAL_FRAME_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EDGETUNE_FRAME_BYTES(values) (44 + 1 + 2 * (values) + 4)

static uint8_t *edgetune_put(uint8_t *out, uint64_t value, int bytes) { /* little-endian on every machine */
    for (; bytes > 0; bytes--, value >>= 8) *out++ = (uint8_t)value;
    return out;
}

static uint64_t edgetune_double(float value) { /* the bits of a 64-bit double, where `double` has only 32 */
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return (uint64_t)(bits >> 31) << 63 | (uint64_t)((bits >> 23 & 255) + 896) << 52 | (uint64_t)(bits & 0x7fffff) << 29;
}

/* Writes one frame of `n` samples of `channels` int16 values, interleaved, and returns its size. Raise `sequence` by 1
 * with every frame, from 0 at the start. Physical value = sample * scale, in `unit` (one letter). */
static size_t edgetune_frame(uint8_t *frame, uint32_t sequence, const int16_t *samples, uint16_t channels, uint32_t n,
                             float rate_hz, float scale, char unit) {
    uint8_t *out = frame;
    out = edgetune_put(out, 0x0201UL << 16 | 'T' << 8 | 'E', 4);       /* magic ET, version 1, type 2: int16 */
    out = edgetune_put(out, (uint32_t)channels | 1UL << 16, 4);      /* channels, one byte of unit, reserved */
    out = edgetune_put(out, sequence, 8);
    out = edgetune_put(out, 0, 8);                                   /* no clock: the node stamps the time */
    out = edgetune_put(out, edgetune_double(rate_hz), 8);
    out = edgetune_put(out, edgetune_double(scale), 8);
    out = edgetune_put(out, n, 4);
    *out++ = (uint8_t)unit;
    for (uint32_t k = 0; k < n * channels; k++) out = edgetune_put(out, (uint16_t)samples[k], 2);
    uint32_t crc = 0xffffffff;
    for (const uint8_t *byte = frame; byte < out; byte++) {
        crc ^= *byte;
        for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320 : crc >> 1;
    }
    return (size_t)(edgetune_put(out, ~crc, 4) - frame);
}
#endif
