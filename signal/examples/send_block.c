/* Builds ONE sample block (int16, 1 channel, 1000 Hz, milli-g) and writes it to stdout, or publishes it.
 *   cc -o send_block send_block.c -lm && ./send_block | mosquitto_pub -h HOST -t TOPIC -s
 *   cc -DWITH_MOSQUITTO -o send_block send_block.c -lm -lmosquitto && ./send_block HOST TOPIC
 * It sends one block and ends. A sender that loops must raise the sequence by 1 with every block: to the receiver,
 * a number that jumps, or does not move, means that samples were lost.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#ifdef WITH_MOSQUITTO
#include <mosquitto.h>

static void on_publish(struct mosquitto *client, void *data, int message) {
    (void)data, (void)message;
    mosquitto_disconnect(client); /* the broker has it: leave the loop */
}
#endif

enum { SAMPLES = 256 };
static unsigned char block[45 + SAMPLES * 2];
static size_t size;

static void put(uint64_t value, int bytes) { /* little-endian on every machine */
    for (; bytes > 0; bytes--, value >>= 8) block[size++] = (unsigned char)(value & 0xff);
}

static void put_double(double value) { /* IEEE 754 */
    uint64_t bits;
    memcpy(&bits, &value, 8);
    put(bits, 8);
}

int main(int argc, char **argv) {
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    put('E', 1), put('T', 1), put(1, 1), put(2, 1);      /* magic, version 1, dtype 2 = int16 */
    put(1, 2), put(1, 1), put(0, 1);                     /* channels, length of the unit, reserved */
    put(0, 8);                                           /* sequence: 0, 1, 2 ... block by block */
    put((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, 8);
    put_double(1000.0), put_double(0.001);               /* rate in Hz, scale: g = raw * 0.001 */
    put(SAMPLES, 4), put('g', 1);                        /* samples per channel, unit */
    for (int k = 0; k < SAMPLES; k++) put((uint16_t)(int16_t)lround(800 * sin(2 * 3.14159265358979 * 50 * k / 1000)), 2);
#ifdef WITH_MOSQUITTO
    if (argc != 3) return 2;
    mosquitto_lib_init();
    struct mosquitto *client = mosquitto_new(NULL, true, NULL);
    mosquitto_publish_callback_set(client, on_publish);
    if (mosquitto_connect(client, argv[1], 1883, 60) != MOSQ_ERR_SUCCESS) return 1;
    mosquitto_publish(client, NULL, argv[2], (int)size, block, 1, false);
    return mosquitto_loop_forever(client, -1, 1) != MOSQ_ERR_SUCCESS;
#else
    (void)argc, (void)argv;
    return fwrite(block, 1, size, stdout) != size;
#endif
}
