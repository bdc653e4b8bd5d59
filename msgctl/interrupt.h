/* interrupt: Ctrl-C (or SIGTERM) asks a long command to end in good order; a second one ends it at once. */
#ifndef TRILLIUM_MSGCTL_INTERRUPT_H
#define TRILLIUM_MSGCTL_INTERRUPT_H

#include <stdbool.h>

void interrupt_catch(void);
bool interrupt_asked(void);

#endif
