/* A firmware around the model: samples from a stub, classes over the UART of an Arm MPS2 board (mps2-an386).
 *
 * Put your driver in the place of `next_sample` and your UART in that of `put`; nothing else changes.
 */
#include "example.h"

#include <stdint.h>

#define UART_DATA (*(volatile uint32_t *)0x40004000U)
#define UART_STATE (*(volatile uint32_t *)0x40004004U)
#define UART_CTRL (*(volatile uint32_t *)0x40004008U)
#define UART_BAUDDIV (*(volatile uint32_t *)0x40004010U)
#define CPACR (*(volatile uint32_t *)0xE000ED88U)

#define WINDOWS 4U

extern uint32_t stack_top[];
extern uint32_t data_from[];
extern uint32_t data_start[];
extern uint32_t data_end[];
extern uint32_t bss_start[];
extern uint32_t bss_end[];

static void put(const char *text)
{
    while (*text != '\0') {
        while ((UART_STATE & 1U) != 0U) {
        }
        UART_DATA = (uint32_t)(unsigned char)*text;
        text++;
    }
}

/* A stub: a triangle of a thousand samples, a little different on every channel. */
static float next_sample(uint32_t at, uint32_t channel)
{
    const uint32_t phase = (at * (17U + channel)) % 1000U;
    return ((float)phase - 500.0f) * 100.0f * EDGETUNE_SAMPLE_SCALE / 500.0f;
}

static void say(int32_t answer)
{
#ifdef EDGETUNE_HEALTH
    put((answer != 0) ? "unlike health\n" : "healthy\n");
#else
    put(EDGETUNE_MODEL(classes)[answer]);
    put("\n");
#endif
}

int main(void)
{
    uint32_t windows = 0U;
    uint32_t at = 0U;
    UART_BAUDDIV = 16U;
    UART_CTRL = 1U;
    EDGETUNE_MODEL(init)();
    put((EDGETUNE_MODEL(selftest)() == 0U) ? "self-test passed\n" : "self-test failed\n");
    EDGETUNE_MODEL(init)();
    while (windows < WINDOWS) {
        uint32_t channel;
#ifdef EDGETUNE_STREAMS
        int8_t sample[EDGETUNE_CHANNELS];
        int32_t answer;
        for (channel = 0U; channel < EDGETUNE_CHANNELS; channel++) {
            sample[channel] = EDGETUNE_MODEL(sample)(next_sample(at, channel));
        }
        answer = EDGETUNE_MODEL(push)(sample);
        if (answer >= 0) {
            say(answer);
            windows++;
        }
#else
        int8_t *window = EDGETUNE_MODEL(window)();
        const uint32_t place = at % EDGETUNE_LENGTH;
        for (channel = 0U; channel < EDGETUNE_CHANNELS; channel++) {
            window[place * EDGETUNE_CHANNELS + channel] = EDGETUNE_MODEL(sample)(next_sample(at, channel));
        }
        if ((place + 1U) == EDGETUNE_LENGTH) {
            say(EDGETUNE_MODEL(run)(window));
            windows++;
        }
#endif
        at++;
    }
    put("end\n");
    for (;;) {
    }
}

void reset(void)
{
    const uint32_t *from = data_from;
    uint32_t *at;
    CPACR |= 0x00F00000U;
    __asm__ volatile("dsb\n isb" : : : "memory");
    for (at = data_start; at < data_end; at++) {
        *at = *from;
        from++;
    }
    for (at = bss_start; at < bss_end; at++) {
        *at = 0U;
    }
    (void)main();
}

__attribute__((section(".vectors"), used)) static const void *const vectors[] = {stack_top, (const void *)reset};
