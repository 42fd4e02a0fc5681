/* Where callgrind's counting begins and ends, for Python to call through ctypes. Harmless outside valgrind. */
#include <valgrind/callgrind.h>

void marks_begin(void) { CALLGRIND_START_INSTRUMENTATION; }
void marks_count(void) { CALLGRIND_TOGGLE_COLLECT; }

/* Stops counting and writes what was counted under this name. */
void marks_store(const char *name) {
    CALLGRIND_TOGGLE_COLLECT;
    CALLGRIND_DUMP_STATS_AT(name);
}
