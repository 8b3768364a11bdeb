/* Run a model on windows of a file and write what it says: the harness of `edgetune bundle c`, on a host or emulated.
 *
 * The file has float samples, window after window, sample by sample, the channels of a sample together. For every window
 * come out: the answer (int32), the distance (float, 0 without one), the output (ROWS int8).
 */
#include "check.h"

static float samples[EDGETUNE_CHANNELS];

static void tell(int32_t answer)
{
    float distance = 0.0f;
#ifdef EDGETUNE_HEALTH
    distance = EDGETUNE_MODEL(distance)();
#endif
    check_write(&answer, sizeof answer);
    check_write(&distance, sizeof distance);
    check_write(EDGETUNE_MODEL(output)(), EDGETUNE_ROWS);
}

int check(void)
{
    uint32_t at = 0U;
    check_begin();
    EDGETUNE_MODEL(init)();
    while (check_read(samples, sizeof samples) != 0) {
        int32_t answer = -1;
        uint32_t channel;
#ifdef EDGETUNE_STREAMS
        int8_t sample[EDGETUNE_CHANNELS];
#else
        int8_t *sample = &EDGETUNE_MODEL(window)()[at * EDGETUNE_CHANNELS];
#endif
        for (channel = 0U; channel < EDGETUNE_CHANNELS; channel++) {
            sample[channel] = EDGETUNE_MODEL(sample)(samples[channel]);
        }
        at++;
#ifdef EDGETUNE_STREAMS
        check_start();
        answer = EDGETUNE_MODEL(push)(sample);
        check_stop();
#else
        if (at == EDGETUNE_LENGTH) {
            check_start();
            answer = EDGETUNE_MODEL(run)(EDGETUNE_MODEL(window)());
            check_stop();
            at = 0U;
        }
#endif
        if (answer >= 0) {
            tell(answer);
        }
    }
    check_end();
    return (EDGETUNE_MODEL(selftest)() == 0U) ? 0 : 2;
}
