/* What a check needs of the machine that it runs on; check_model.h names the model. */
#ifndef CHECK_H
#define CHECK_H

#include <stdint.h>

#include "check_model.h"

/* Read so many bytes; 0 at the end of the file. */
int check_read(void *bytes, uint32_t count);
void check_write(const void *bytes, uint32_t count);

/* Around all windows, and around what is counted. */
void check_begin(void);
void check_start(void);
void check_stop(void);
void check_end(void);

int check(void);

#endif
