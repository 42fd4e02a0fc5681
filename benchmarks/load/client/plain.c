/* No load of its own: another program makes the server send, and frames are counted as they come. */
#include "load.h"

const load_t plain = {.name = "plain", .plain = 1, .count = ws_count};
