/* See edgetune_kernels.h. Sums are exact; every rounding is that of onnxruntime, so that results are equal bit by bit.
 *
 * Compile without contraction of multiplications and additions (-ffp-contract=off, or -std=c99 of gcc) and without
 * -ffast-math. Variants: Helium (MVE) and the DSP extension are taken where the compiler says that they are there;
 * EDGETUNE_PLAIN selects plain C.
 */
#include "edgetune_kernels.h"

#include <string.h>

#ifdef __FAST_MATH__
#error "edgetune needs IEEE arithmetic: compile without -ffast-math"
#endif

#if !defined(EDGETUNE_PLAIN) && defined(__ARM_FEATURE_MVE) && (__ARM_FEATURE_MVE & 1)
#define EDGETUNE_MVE 1
#include <arm_mve.h>
#elif !defined(EDGETUNE_PLAIN) && defined(__ARM_FEATURE_DSP) && defined(__GNUC__)
#define EDGETUNE_DSP 1
#endif

#if !defined(EDGETUNE_PLAIN) && defined(__ARM_FP) && ((__ARM_FP & 4) != 0) && defined(__ARM_FEATURE_SAT) && defined(__GNUC__)
#define EDGETUNE_FPU 1
#endif

#define FILTERS 4U
#define LOWEST (-128)
#define HIGHEST 127
#define ROUNDER 12582912.0f /* 1.5 * 2^23: a sum with it has no digits behind the point */
#define ROUNDER_BITS 0x4B400000

/* Round half to even, after bounding, as int8. */
static int8_t narrow(float value, int32_t zero)
{
#if defined(EDGETUNE_FPU)
    int32_t steps;
    float rounded;
    __asm__("vcvtr.s32.f32 %0, %1" : "=t"(rounded) : "t"(value));
    __asm__("vmov %0, %1" : "=r"(steps) : "t"(rounded));
    __asm__("ssat %0, #16, %1" : "=r"(steps) : "r"(steps) : "cc");
    steps += zero;
    __asm__("ssat %0, #8, %1" : "=r"(steps) : "r"(steps) : "cc");
    return (int8_t)steps;
#else
    const float low = (float)(LOWEST - zero);
    const float high = (float)(HIGHEST - zero);
    edgetune_word_t word;
    if (!(value > low)) {
        value = low;
    }
    if (value > high) {
        value = high;
    }
    word.f = value + ROUNDER;
    return (int8_t)(word.i - ROUNDER_BITS + zero);
#endif
}

int8_t edgetune_quantise(float value, float scale, int8_t zero)
{
    return narrow(value / scale, zero);
}

/* Natural logarithm of a normal number above 0; at most 3 units in the last place (1.1e-6) from the true one.
 * The quotient of polynomials is that of Eigen, which onnxruntime uses. */
float edgetune_log(float x)
{
    edgetune_word_t word;
    float power;
    float p;
    float q;
    word.f = x;
    power = (float)((int32_t)(word.u >> 23) - 126);
    word.u = (word.u & 0x007FFFFFU) | 0x3F000000U; /* 0.5 to 1 */
    x = word.f;
    if (x < 0.70710678118654752f) {
        power -= 1.0f;
        x = (x - 1.0f) + x;
    } else {
        x -= 1.0f;
    }
    p = x * 0.18256296349849254f;
    p += 1.0f;
    p *= x;
    p += 1.0f;
    p *= x;
    q = x * 0.049616247954120038f;
    q += 0.59923249590823520f;
    q *= x;
    q += 1.5f;
    q *= x;
    q += 1.0f;
    p /= q;
    q = power * 0.69314718055994531f;
    return q + p;
}

/* Square root, correctly rounded. */
float edgetune_root(float x)
{
#if defined(EDGETUNE_FPU)
    float root;
    __asm__("vsqrt.f32 %0, %1" : "=t"(root) : "t"(x));
    return root;
#else
    edgetune_word_t word;
    uint32_t rest;
    uint32_t root = 0U;
    uint32_t bit;
    uint32_t remainder = 0U;
    int32_t power;
    word.f = x;
    if ((word.u >> 23) == 0U) {
        return 0.0f; /* less than any sum of steps of a scale */
    }
    power = (int32_t)(word.u >> 23) - 127;
    rest = ((word.u & 0x007FFFFFU) | 0x00800000U) << 1;
    if ((power & 1) != 0) {
        rest <<= 1;
        power -= 1;
    }
    /* 25 digits of the root of rest * 2^24: two digits of the radicand for each. */
    for (bit = 0U; bit < 25U; bit++) {
        const uint32_t digits = (bit < 13U) ? ((rest >> (24U - 2U * bit)) & 3U) : 0U;
        const uint32_t trial = (root << 2) | 1U;
        remainder = (remainder << 2) | digits;
        root <<= 1;
        if (remainder >= trial) {
            remainder -= trial;
            root |= 1U;
        }
    }
    root = (root >> 1) + (root & 1U); /* no tie occurs: a root of 25 digits that ends in 1 is never exact */
    word.u = ((uint32_t)(power / 2 + 126) << 23) + root;
    return word.f;
#endif
}

#if defined(EDGETUNE_DSP)
#define FENCE(value) __asm__ volatile("" : "+r"(value) : : "memory")

static uint32_t four(const int8_t *bytes)
{
    uint32_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

static uint32_t even(uint32_t bytes)
{
    uint32_t halves;
    __asm__("sxtb16 %0, %1" : "=r"(halves) : "r"(bytes));
    return halves;
}

static uint32_t odd(uint32_t bytes)
{
    uint32_t halves;
    __asm__("sxtb16 %0, %1, ror #8" : "=r"(halves) : "r"(bytes));
    return halves;
}

static int32_t multiply(uint32_t a, uint32_t b, int32_t sum)
{
    int32_t result;
    __asm__("smlad %0, %1, %2, %3" : "=r"(result) : "r"(a), "r"(b), "r"(sum));
    return result;
}

/* Add four unsigned bytes. */
static int32_t add_four(uint32_t bytes, int32_t sum)
{
    int32_t result;
    __asm__("usada8 %0, %1, %2, %3" : "=r"(result) : "r"(bytes), "r"(0), "r"(sum));
    return result;
}

static int32_t four_products(uint32_t a, uint32_t b, const int8_t *w, int32_t sum)
{
    const uint32_t weights = four(w);
    return multiply(b, odd(weights), multiply(a, even(weights), sum));
}
#endif

/* Add the products of `count` values with filters at `w` and `v`, and with those `row` weights behind each. */
EDGETUNE_APART static void four_sums(const int8_t *x, const int8_t *w, const int8_t *v, uint32_t row, uint32_t count,
                                     int32_t sum[FILTERS])
{
    const int8_t *end;
    int32_t sum0 = sum[0];
    int32_t sum1 = sum[1];
    int32_t sum2 = sum[2];
    int32_t sum3 = sum[3];
#if defined(EDGETUNE_MVE)
    const int8_t *second = &w[row];
    const int8_t *fourth = &v[row];
    for (end = &x[count & ~15U]; x < end; x += 16) {
        const int8x16_t values = vldrbq_s8(x);
        sum0 = vmladavaq_s8(sum0, values, vldrbq_s8(w));
        sum1 = vmladavaq_s8(sum1, values, vldrbq_s8(second));
        sum2 = vmladavaq_s8(sum2, values, vldrbq_s8(v));
        sum3 = vmladavaq_s8(sum3, values, vldrbq_s8(fourth));
        w += 16;
        second += 16;
        v += 16;
        fourth += 16;
    }
    count &= 15U;
    if (count > 0U) {
        const mve_pred16_t some = vctp8q(count);
        const int8x16_t values = vldrbq_z_s8(x, some);
        sum0 = vmladavaq_p_s8(sum0, values, vldrbq_z_s8(w, some), some);
        sum1 = vmladavaq_p_s8(sum1, values, vldrbq_z_s8(second, some), some);
        sum2 = vmladavaq_p_s8(sum2, values, vldrbq_z_s8(v, some), some);
        sum3 = vmladavaq_p_s8(sum3, values, vldrbq_z_s8(fourth, some), some);
    }
#else
#if defined(EDGETUNE_DSP)
    for (end = &x[count & ~3U]; x < end; x += 4) {
        const uint32_t values = four(x);
        const uint32_t a = even(values);
        const uint32_t b = odd(values);
        FENCE(row); /* else four pointers are kept, and loads made early, for which there are too few registers */
        sum1 = four_products(a, b, &w[row], sum1);
        sum3 = four_products(a, b, &v[row], sum3);
        FENCE(row);
        sum0 = four_products(a, b, w, sum0);
        sum2 = four_products(a, b, v, sum2);
        w += 4;
        v += 4;
    }
    count &= 3U;
#endif
    for (end = &x[count]; x < end; x++) {
        const int32_t value = *x;
        sum0 += value * *w;
        sum1 += value * w[row];
        sum2 += value * *v;
        sum3 += value * v[row];
        w++;
        v++;
    }
#endif
    sum[0] = sum0;
    sum[1] = sum1;
    sum[2] = sum2;
    sum[3] = sum3;
}

EDGETUNE_APART static int32_t total(const int8_t *x, uint32_t count)
{
    int32_t sum = 0;
#if defined(EDGETUNE_MVE)
    while (count >= 16U) {
        sum = vaddvaq_s8(sum, vldrbq_s8(x));
        x += 16;
        count -= 16U;
    }
#elif defined(EDGETUNE_DSP)
    const int8_t *end = &x[count & ~3U];
    sum = -128 * (int32_t)(count & ~3U);
    count &= 3U;
    while (x < end) {
        sum = add_four(four(x) ^ 0x80808080U, sum);
        x += 4;
    }
#endif
    while (count > 0U) {
        sum += *x;
        x++;
        count--;
    }
    return sum;
}

/* Padding is the zero point: return its products with the first `before` weights of a row, and those from `after` on. */
EDGETUNE_APART static int32_t padding(const edgetune_conv_t *layer, const int8_t *w, uint32_t before, uint32_t after)
{
    const uint32_t row = (uint32_t)layer->kernel * layer->channels / layer->groups;
    return layer->zero * (total(w, before) + total(&w[after], row - after));
}

/* One frame of a convolution without groups: `taps` of the kernel's, the first of them `skip`, lie on the input. */
static void full_frame(const edgetune_conv_t *layer, const int8_t *x, uint32_t skip, uint32_t taps, int8_t *y)
{
    const uint32_t channels = layer->channels;
    const uint32_t row = layer->kernel * channels;
    const uint32_t count = taps * channels;
    const uint32_t before = skip * channels;
    const int8_t *w = layer->weight;
    const int32_t *bias = layer->bias;
    const float *scale = layer->scale;
    const int32_t zero = layer->out_zero;
    int32_t more = 0;
    uint32_t left = layer->filters;
    if (layer->weight_more != 0) {
        more = layer->weight_more * (total(x, count) - (int32_t)count * layer->zero);
    }
    while (left > 0U) {
        /* Of fewer than four filters some are computed twice, and the last one of three comes fourth. */
        const uint32_t filters = (left < FILTERS) ? left : FILTERS;
        const uint32_t second = (filters > 2U) ? (filters - 2U) : 0U;
        int32_t sum[FILTERS] = {0, 0, 0, 0};
        uint32_t each;
        four_sums(x, &w[before], &w[before + second * row], (filters > 1U) ? row : 0U, count, sum);
        if (filters == 3U) {
            sum[2] = sum[3];
        }
        for (each = 0U; each < filters; each++) {
            int32_t own = sum[each] + *bias + more;
            if (taps < layer->kernel) {
                own += padding(layer, &w[each * row], before, before + count);
            }
            *y = narrow((float)own * *scale, zero);
            y++;
            bias++;
            scale++;
        }
        w += FILTERS * row;
        left -= filters;
    }
}

static void grouped_frame(const edgetune_conv_t *layer, const int8_t *x, uint32_t skip, uint32_t taps, int8_t *y)
{
    const uint32_t channels = layer->channels;
    const uint32_t own = channels / layer->groups;
    const uint32_t each = (uint32_t)layer->filters / layer->groups;
    const int32_t zero = layer->zero;
    const int32_t more = layer->weight_more;
    const int8_t *w = layer->weight;
    uint32_t group;
    uint32_t filter;
    for (group = 0U; group < layer->groups; group++) {
        for (filter = 0U; filter < each; filter++) {
            const uint32_t at = group * each + filter;
            const int8_t *from = &x[group * own];
            const int8_t *tap = &w[skip * own];
            int32_t sum = layer->bias[at];
            uint32_t left;
            if (taps < layer->kernel) {
                sum += padding(layer, w, skip * own, (skip + taps) * own);
            }
            sum -= more * zero * (int32_t)(taps * own);
            if ((own == 1U) && (more == 0)) {
                for (left = taps; left > 0U; left--) {
                    sum += (int32_t)*from * *tap;
                    from += channels;
                    tap++;
                }
            } else if (own == 1U) {
                for (left = taps; left > 0U; left--) {
                    sum += *from * (*tap + more);
                    from += channels;
                    tap++;
                }
            } else {
                for (left = taps; left > 0U; left--) {
                    uint32_t channel;
                    for (channel = 0U; channel < own; channel++) {
                        sum += from[channel] * (*tap + more);
                        tap++;
                    }
                    from += channels;
                }
            }
            y[at] = narrow((float)sum * layer->scale[at], layer->out_zero);
            w += layer->kernel * own;
        }
    }
}

void edgetune_conv(const edgetune_conv_t *layer, const int8_t *x, int8_t *y)
{
    const int32_t kernel = layer->kernel;
    const int32_t length = layer->length;
    int32_t at = -(int32_t)layer->padding;
    const int32_t last = length + (int32_t)layer->padding - kernel;
    for (; at <= last; at += layer->stride) {
        const int32_t skip = (at < 0) ? -at : 0;
        const int32_t end = ((at + kernel) > length) ? (length - at) : kernel;
        const int8_t *from = &x[(at + skip) * (int32_t)layer->channels];
        if (layer->groups == 1U) {
            full_frame(layer, from, (uint32_t)skip, (uint32_t)(end - skip), y);
        } else {
            grouped_frame(layer, from, (uint32_t)skip, (uint32_t)(end - skip), y);
        }
        y += layer->filters;
    }
}

static float magnitude(const edgetune_pool_t *layer, int8_t x)
{
    const int32_t steps = (int32_t)x - layer->zero;
    const float value = (float)((steps < 0) ? -steps : steps) * layer->scale;
    return (layer->squares != 0U) ? (value * value) : value;
}

EDGETUNE_APART static int8_t pooled(const edgetune_pool_t *layer, float sum)
{
    float value = (layer->squares != 0U) ? edgetune_root(sum) : sum;
    if (layer->log != 0U) {
        value = edgetune_log(value + layer->offset);
    }
    return edgetune_quantise(value, layer->out_scale, layer->out_zero);
}

#if defined(EDGETUNE_MVE) && ((__ARM_FEATURE_MVE & 2) != 0)
#define TOGETHER 4U

/* Sums over the frames of a kernel of up to four channels at once; each is added up in order. */
static void frame_sums(const edgetune_pool_t *layer, const int8_t *x, uint32_t channels, float sums[TOGETHER])
{
    const mve_pred16_t some = vctp32q(channels);
    float32x4_t sum = vdupq_n_f32(0.0f);
    uint32_t left;
    for (left = layer->kernel; left > 0U; left--) {
        const int32x4_t steps = vsubq_n_s32(vldrbq_z_s32(x, some), layer->zero);
        const float32x4_t value = vabsq_f32(vmulq_n_f32(vcvtq_f32_s32(steps), layer->scale));
        sum = vaddq_f32(sum, (layer->squares != 0U) ? vmulq_f32(value, value) : value);
        x += layer->channels;
    }
    vst1q_f32(sums, sum);
}
#else
#define TOGETHER 1U

static void frame_sums(const edgetune_pool_t *layer, const int8_t *x, uint32_t channels, float sums[TOGETHER])
{
    float sum = 0.0f;
    uint32_t left;
    (void)channels;
    for (left = layer->kernel; left > 0U; left--) {
        sum += magnitude(layer, *x);
        x += layer->channels;
    }
    sums[0] = sum;
}
#endif

void edgetune_pool(const edgetune_pool_t *layer, const int8_t *x, int8_t *y)
{
    const uint32_t channels = layer->channels;
    uint32_t at;
    for (at = 0U; (at + layer->kernel) <= layer->length; at += layer->stride) {
        uint32_t channel;
        for (channel = 0U; channel < channels; channel += TOGETHER) {
            const uint32_t count = ((channels - channel) < TOGETHER) ? (channels - channel) : TOGETHER;
            float sums[TOGETHER];
            uint32_t each;
            frame_sums(layer, &x[at * channels + channel], count, sums);
            for (each = 0U; each < count; each++) {
                *y = pooled(layer, sums[each]);
                y++;
            }
        }
    }
}

void edgetune_pool_push(const edgetune_pool_t *layer, const int8_t *x, uint32_t at, edgetune_word_t *sums, int8_t *y)
{
    const uint32_t channels = layer->channels;
    const uint32_t kernel = layer->kernel;
    const uint32_t stride = layer->stride;
    const uint32_t open = (kernel + stride - 1U) / stride;
    const uint32_t frames = (layer->length - kernel) / stride + 1U;
    uint32_t frame = (at < kernel) ? 0U : ((at - kernel) / stride + 1U);
    for (; (frame < frames) && (frame * stride <= at); frame++) {
        edgetune_word_t *own = &sums[(frame % open) * channels];
        uint32_t channel;
        for (channel = 0U; channel < channels; channel++) {
            const float before = (at == frame * stride) ? 0.0f : own[channel].f;
            own[channel].f = before + magnitude(layer, x[channel]);
            if ((at + 1U) == (frame * stride + kernel)) {
                y[frame * channels + channel] = pooled(layer, own[channel].f);
            }
        }
    }
}

void edgetune_max_pool(const edgetune_pool_t *layer, const int8_t *x, int8_t *y)
{
    const uint32_t channels = layer->channels;
    uint32_t at;
    for (at = 0U; (at + layer->kernel) <= layer->length; at += layer->stride) {
        uint32_t channel;
        for (channel = 0U; channel < channels; channel++) {
            const int8_t *from = &x[at * channels + channel];
            int8_t most = *from;
            uint32_t left;
            for (left = layer->kernel; left > 1U; left--) {
                from += channels;
                if (*from > most) {
                    most = *from;
                }
            }
            *y = most;
            y++;
        }
    }
}

void edgetune_average(const edgetune_global_t *layer, const int8_t *x, int8_t *y)
{
    const uint32_t channels = layer->channels;
    uint32_t channel;
    for (channel = 0U; channel < channels; channel++) {
        const int8_t *from = &x[channel];
        int32_t sum = 0;
        uint32_t left;
        for (left = layer->length; left > 0U; left--) {
            sum += (int32_t)*from - layer->zero;
            from += channels;
        }
        y[channel] = narrow((float)sum * layer->average_scale, layer->average_zero);
    }
}

void edgetune_maximum(const edgetune_global_t *layer, const int8_t *x, int8_t *y)
{
    const uint32_t channels = layer->channels;
    uint32_t channel;
    for (channel = 0U; channel < channels; channel++) {
        const int8_t *from = &x[channel];
        int8_t most = *from;
        uint32_t left;
        for (left = layer->length; left > 1U; left--) {
            from += channels;
            if (*from > most) {
                most = *from;
            }
        }
        y[channel] = most;
    }
}

void edgetune_global_push(const edgetune_global_t *layer, const int8_t *x, uint32_t at, edgetune_word_t *sums,
                          int8_t *most)
{
    uint32_t channel;
    for (channel = 0U; channel < layer->channels; channel++) {
        if (sums != 0) {
            sums[channel].i = ((at == 0U) ? 0 : sums[channel].i) + x[channel] - layer->zero;
        }
        if ((most != 0) && ((at == 0U) || (x[channel] > most[channel]))) {
            most[channel] = x[channel];
        }
    }
}

void edgetune_average_end(const edgetune_global_t *layer, const edgetune_word_t *sums, int8_t *y)
{
    uint32_t channel;
    for (channel = 0U; channel < layer->channels; channel++) {
        y[channel] = narrow((float)sums[channel].i * layer->average_scale, layer->average_zero);
    }
}

void edgetune_gram_push(const edgetune_gram_t *layer, const int8_t *x, uint32_t at, edgetune_word_t *sums)
{
    const uint32_t channels = layer->channels;
    edgetune_word_t *product = &sums[channels];
    uint32_t row;
    uint32_t column;
    if (at == 0U) {
        memset(sums, 0, (channels * (channels + 3U) / 2U) * sizeof *sums);
    }
    for (row = 0U; row < channels; row++) { /* a zero point would change no spread */
        const int32_t value = x[row];
        const int8_t *other = &x[row];
        sums[row].i += value;
        for (column = channels - row; column > 0U; column--) {
            product->i += value * *other;
            product++;
            other++;
        }
    }
}

/* Length times the sum of products less the product of sums: exact, for it is of 64 bits. */
static float spread(const edgetune_gram_t *layer, const edgetune_word_t *sums, uint32_t row, uint32_t column)
{
    const uint32_t channels = layer->channels;
    const uint32_t at = channels + row * channels - row * (row + 1U) / 2U + column;
    const int64_t whole = (int64_t)sums[at].i * layer->length - (int64_t)sums[row].i * sums[column].i;
    return (float)whole * layer->factor;
}

void edgetune_gram_end(const edgetune_gram_t *layer, const edgetune_word_t *sums, int8_t *y)
{
    uint32_t row;
    uint32_t column;
    for (row = 0U; row < layer->channels; row++) {
        const float own = edgetune_root(spread(layer, sums, row, row)) + layer->offset;
        for (column = row; column < layer->channels; column++) {
            const float other = edgetune_root(spread(layer, sums, column, column)) + layer->offset;
            const float alike = spread(layer, sums, row, column) / own / other * layer->share;
            const float turned = 0.5f * edgetune_log((1.0f + alike) / (1.0f - alike));
            *y = edgetune_quantise(turned, layer->out_scale, layer->out_zero);
            y++;
        }
    }
}

void edgetune_gram(const edgetune_gram_t *layer, const int8_t *x, edgetune_word_t *sums, int8_t *y)
{
    uint32_t at;
    for (at = 0U; at < layer->length; at++) {
        edgetune_gram_push(layer, &x[at * layer->channels], at, sums);
    }
    edgetune_gram_end(layer, sums, y);
}

void edgetune_change(const edgetune_change_t *change, const int8_t *x, int8_t *y, uint32_t count)
{
    uint32_t at;
    for (at = 0U; at < count; at++) {
        const float value = (float)((int32_t)x[at] - change->zero) * change->scale;
        y[at] = edgetune_quantise(value, change->out_scale, change->out_zero);
    }
}

void edgetune_class_max(const uint8_t *kinds, uint32_t classes, const int8_t *x, int8_t *y)
{
    uint32_t at;
    for (at = 0U; at < classes; at++) {
        uint32_t left;
        int8_t most = *x;
        for (left = kinds[at]; left > 0U; left--) {
            if (*x > most) {
                most = *x;
            }
            x++;
        }
        y[at] = most;
    }
}

void edgetune_move_down(int8_t *to, const int8_t *from, uint32_t count)
{
    for (; count >= 4U; count -= 4U) {
        uint32_t word;
        memcpy(&word, from, sizeof word);
        memcpy(to, &word, sizeof word);
        from += 4;
        to += 4;
    }
    for (; count > 0U; count--) {
        *to = *from;
        from++;
        to++;
    }
}

uint32_t edgetune_largest(const int8_t *x, uint32_t count)
{
    uint32_t best = 0U;
    uint32_t at;
    for (at = 1U; at < count; at++) {
        if (x[at] > x[best]) {
            best = at;
        }
    }
    return best;
}

float edgetune_length(const int8_t *x, uint32_t count, float scale, int8_t zero)
{
    float sum = 0.0f;
    uint32_t at;
    for (at = 0U; at < count; at++) {
        const float value = (float)((int32_t)x[at] - zero) * scale;
        sum += value * value;
    }
    return edgetune_root(sum);
}
