/* The check on an emulated Arm core: files through semihosting, instructions by SysTick, stack by painting.
 *
 * Under `qemu -icount shift=0` an instruction takes a nanosecond, so that ticks of SysTick count instructions; a loop of
 * known length says how many a tick is, and empty calls what counting itself takes. CHECK_RUNS limits what is run.
 */
#include "check.h"

#define PAINT 0xA5A5A5A5U
#define PAINTED_WORDS 2048U
#define OWN_CALLS 10000U

#define SYST_CSR (*(volatile uint32_t *)0xE000E010U)
#define SYST_RVR (*(volatile uint32_t *)0xE000E014U)
#define SYST_CVR (*(volatile uint32_t *)0xE000E018U)
#define CPACR (*(volatile uint32_t *)0xE000ED88U)

#define SYS_OPEN 1
#define SYS_WRITE 5
#define SYS_READ 6
#define SYS_EXIT 0x18

extern uint32_t stack_top[];
extern uint32_t data_from[];
extern uint32_t data_start[];
extern uint32_t data_end[];
extern uint32_t bss_start[];
extern uint32_t bss_end[];

static int input;
static int output;
static int report;
static uint32_t started;
static uint32_t ticks;
static uint32_t calls;
static uint32_t worst;
static uint32_t calibration;
static uint32_t own;
static uint32_t *painted;

static int host(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

static int opened(const char *name, uint32_t size, uint32_t mode)
{
    const uint32_t arguments[3] = {(uint32_t)name, mode, size};
    return host(SYS_OPEN, arguments);
}

static void written(int file, const void *bytes, uint32_t count)
{
    const uint32_t arguments[3] = {(uint32_t)file, (uint32_t)bytes, count};
    (void)host(SYS_WRITE, arguments);
}

int check_read(void *bytes, uint32_t count)
{
    const uint32_t arguments[3] = {(uint32_t)input, (uint32_t)bytes, count};
    return host(SYS_READ, arguments) == 0;
}

void check_write(const void *bytes, uint32_t count)
{
    written(output, bytes, count);
}

static uint32_t now(void)
{
    return 0x00FFFFFFU - SYST_CVR;
}

static void loop(uint32_t turns)
{
    __asm__ volatile("1: subs %0, #1\n bne 1b" : "+r"(turns) : : "cc");
}

void check_start(void)
{
    started = now();
}

void check_stop(void)
{
    const uint32_t taken = (now() - started) & 0x00FFFFFFU;
    ticks += taken;
    calls++;
    if (taken > worst) {
        worst = taken;
    }
}

void check_begin(void)
{
    uint32_t here;
    uint32_t *at;
    SYST_RVR = 0x00FFFFFFU;
    SYST_CVR = 0U;
    SYST_CSR = 5U;
    here = now();
    loop(1000000U); /* two instructions a turn */
    calibration = (now() - here) & 0x00FFFFFFU;
    for (here = 0U; here < OWN_CALLS; here++) {
        check_start();
        check_stop();
    }
    own = ticks;
    ticks = 0U;
    calls = 0U;
    worst = 0U;
    __asm__ volatile("mov %0, sp" : "=r"(at));
    painted = at - PAINTED_WORDS;
    for (at -= 16; at >= painted; at--) { /* the frame of this function lies above */
        *at = PAINT;
    }
}

void check_end(void)
{
    const uint32_t *at = painted;
    uint32_t figures[6];
    while (*at == PAINT) {
        at++;
    }
    figures[0] = ticks;
    figures[1] = calls;
    figures[2] = worst;
    figures[3] = calibration;
    figures[4] = (uint32_t)(&painted[PAINTED_WORDS] - at) * 4U;
    figures[5] = own;
    written(report, figures, sizeof figures);
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
    input = opened("windows.bin", 11U, 1U);
    output = opened("results.bin", 11U, 5U);
    report = opened("figures.bin", 11U, 5U);
    (void)check();
    (void)host(SYS_EXIT, (const void *)0x20026);
    for (;;) {
    }
}

typedef struct {
    const uint32_t *stack;
    void (*reset)(void);
} vectors_t;

__attribute__((section(".vectors"), used)) static const vectors_t vectors = {stack_top, reset};
