/*
 * import_session: the record in controld that lets an import send ids older than the horizon. Kept alive by a thread
 * of its own, since renewing may wait for controllers that are down while the import goes on.
 */
#ifndef TRILLIUM_MSGCTL_IMPORT_SESSION_H
#define TRILLIUM_MSGCTL_IMPORT_SESSION_H

#include "client/trillium.h"

struct import_session;

/* Waits for the first answer, no longer than a call's deadline. *status says how it went; when it is not DONE the
   session is tried again in the background. label is for people; copied. */
struct import_session *import_session_begin(struct trillium *trillium, const char *label, int *status);
/* The number to send with; 0 while there is none. */
uint64_t import_session_id(struct import_session *session);
/* Stops the thread and ends the session. */
void import_session_end(struct import_session *session);

#endif
