/* Run a model on windows of a file and write what it says: the harness of `edgetune bundle c`, on a host or emulated.
 *
 * The file has float samples, window after window, sample by sample, the channels of a sample together. For every window
 * come out: the answer (int32), the distance (float, 0 without one), the output (ROWS int8).
 */
#include "check.h"

static float samples[MODEL_CHANNELS];

int check(void)
{
    int32_t answer = 0;
    float distance = 0.0f;
    check_begin();
    MODEL(init)();
    while (check_read(samples, sizeof samples) != 0) {
        uint32_t at;
        for (at = 0U;;) {
            uint32_t channel;
#ifdef MODEL_STREAMS
            int8_t sample[MODEL_CHANNELS];
#else
            int8_t *sample = &MODEL(window)()[at * MODEL_CHANNELS];
#endif
            for (channel = 0U; channel < MODEL_CHANNELS; channel++) {
                sample[channel] = MODEL(sample)(samples[channel]);
            }
#ifdef MODEL_STREAMS
            check_start();
            answer = MODEL(push)(sample);
            check_stop();
#endif
            at++;
            if (at == MODEL_LENGTH) {
                break;
            }
            if (check_read(samples, sizeof samples) == 0) {
                return 1;
            }
        }
#ifndef MODEL_STREAMS
        check_start();
        answer = MODEL(run)(MODEL(window)());
        check_stop();
#endif
#ifdef MODEL_HEALTH
        distance = MODEL(distance)();
#endif
        check_write(&answer, sizeof answer);
        check_write(&distance, sizeof distance);
        check_write(MODEL(output)(), MODEL_ROWS);
    }
    check_end();
    return (MODEL(selftest)() == 0U) ? 0 : 2;
}
