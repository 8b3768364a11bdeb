/* The check on a host: windows from standard input, results to standard output. */
#include <stdio.h>

#include "check.h"

int check_read(void *bytes, uint32_t count)
{
    return fread(bytes, 1U, count, stdin) == count;
}

void check_write(const void *bytes, uint32_t count)
{
    (void)fwrite(bytes, 1U, count, stdout);
}

void check_begin(void)
{
}

void check_start(void)
{
}

void check_stop(void)
{
}

void check_end(void)
{
}

int main(void)
{
    return check();
}
