/* Kernels of edgetune's int8 networks: C99, no heap, no library but memcpy, memmove and memset.
 *
 * Tensors lie frame by frame, with the channels of a frame together. Values are int8: ONNX's uint8 less 128.
 * One copy serves every model of a firmware.
 */
#ifndef EDGETUNE_KERNELS_H
#define EDGETUNE_KERNELS_H

#include <stdint.h>

/* Version of this interface; a model refuses to compile with another one. */
#define EDGETUNE_KERNELS 1

/* What is rarely run is kept out of functions that are often run, or that have it twice. */
#if defined(__GNUC__)
#define EDGETUNE_APART __attribute__((noinline))
#else
#define EDGETUNE_APART
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Unit of an arena: its tensors are bytes, its running sums words. */
typedef union {
    int32_t i;
    uint32_t u;
    float f;
} edgetune_word_t;

/* Convolution, or a dense layer (one frame, kernel of one). */
typedef struct {
    const int8_t *weight; /* filters x kernel x channels of a group */
    const int32_t *bias;  /* less the input's zero point times the sum of the filter's weights */
    const float *scale;   /* scale of input and weights over the scale of the output, one a filter */
    uint16_t length;
    uint16_t channels;
    uint16_t filters;
    uint16_t kernel;
    uint16_t stride;
    uint16_t padding;
    uint16_t groups;
    int16_t weight_more; /* what is added to every weight of the table; 0 unless weights were unsigned */
    int8_t zero;         /* of the input */
    int8_t out_zero;
} edgetune_conv_t;

/* Mean of magnitudes or root of squares over frames (without the division), then perhaps a logarithm. */
typedef struct {
    float scale;
    float offset; /* added before the logarithm */
    float out_scale;
    uint16_t length;
    uint16_t channels;
    uint16_t kernel;
    uint16_t stride;
    uint8_t squares; /* 1: root of squares, 0: magnitudes */
    uint8_t log;     /* 1: logarithm */
    int8_t zero;
    int8_t out_zero;
} edgetune_pool_t;

/* Average and maximum over the whole length. */
typedef struct {
    float average_scale; /* scale of the input over that of the average, divided by the length */
    uint16_t length;
    uint16_t channels;
    int8_t zero;
    int8_t average_zero;
} edgetune_global_t;

/* Levels and correlations of channels. */
typedef struct {
    float factor; /* square of the input's scale, over the length */
    float offset;
    float share;
    float out_scale;
    uint16_t length;
    uint16_t channels;
    int8_t out_zero;
} edgetune_gram_t;

/* Change of scale and zero point. */
typedef struct {
    float scale;
    float out_scale;
    int8_t zero;
    int8_t out_zero;
} edgetune_change_t;

int8_t edgetune_quantise(float value, float scale, int8_t zero);
float edgetune_log(float x);
float edgetune_root(float x);

void edgetune_conv(const edgetune_conv_t *layer, const int8_t *x, int8_t *y);
void edgetune_pool(const edgetune_pool_t *layer, const int8_t *x, int8_t *y);
void edgetune_max_pool(const edgetune_pool_t *layer, const int8_t *x, int8_t *y);
void edgetune_average(const edgetune_global_t *layer, const int8_t *x, int8_t *y);
void edgetune_maximum(const edgetune_global_t *layer, const int8_t *x, int8_t *y);
void edgetune_gram(const edgetune_gram_t *layer, const int8_t *x, edgetune_word_t *sums, int8_t *y);
void edgetune_change(const edgetune_change_t *change, const int8_t *x, int8_t *y, uint32_t count);
void edgetune_class_max(const uint8_t *kinds, uint32_t classes, const int8_t *x, int8_t *y);
/* Copy `count` bytes to a lower address, which they may overlap. */
void edgetune_move_down(int8_t *to, const int8_t *from, uint32_t count);
uint32_t edgetune_largest(const int8_t *x, uint32_t count);
float edgetune_length(const int8_t *x, uint32_t count, float scale, int8_t zero);

/* The same, a frame at a time; `at` counts the frames of a window from 0. */
void edgetune_pool_push(const edgetune_pool_t *layer, const int8_t *x, uint32_t at, edgetune_word_t *sums, int8_t *y);
void edgetune_global_push(const edgetune_global_t *layer, const int8_t *x, uint32_t at, edgetune_word_t *sums,
                          int8_t *most);
void edgetune_average_end(const edgetune_global_t *layer, const edgetune_word_t *sums, int8_t *y);
void edgetune_gram_push(const edgetune_gram_t *layer, const int8_t *x, uint32_t at, edgetune_word_t *sums);
void edgetune_gram_end(const edgetune_gram_t *layer, const edgetune_word_t *sums, int8_t *y);

#ifdef __cplusplus
}
#endif

#endif
