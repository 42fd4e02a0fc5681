# Digests as lower-case hex digits, two at a time, and their comparison.

cdef extern from *:
    """
    #include <stdint.h>
    #include <string.h>
    #define ENGINE_ROW(a) a "0" a "1" a "2" a "3" a "4" a "5" a "6" a "7" a "8" a "9" a "a" a "b" a "c" a "d" a "e" a "f"
    static const char engine_pairs[513] =
        ENGINE_ROW("0") ENGINE_ROW("1") ENGINE_ROW("2") ENGINE_ROW("3") ENGINE_ROW("4") ENGINE_ROW("5")
        ENGINE_ROW("6") ENGINE_ROW("7") ENGINE_ROW("8") ENGINE_ROW("9") ENGINE_ROW("a") ENGINE_ROW("b")
        ENGINE_ROW("c") ENGINE_ROW("d") ENGINE_ROW("e") ENGINE_ROW("f");
    static inline void engine_hexed(const unsigned char *digest, int size, char *out) {
        for (int i = 0; i < size; i++) memcpy(out + 2 * i, engine_pairs + 2 * digest[i], 2);
    }
    static inline int engine_same_digits(const char *a, const char *b, int size) {
        uint64_t x, y, difference = 0;
        for (int i = 0; i < size; i += 8) {
            memcpy(&x, a + i, 8);
            memcpy(&y, b + i, 8);
            difference |= x ^ y;
        }
        return difference == 0;
    }
    """
    # Writes 2 * size digits.
    void hexed "engine_hexed"(const unsigned char* digest, int size, char* out) noexcept nogil
    # Takes the same time wherever the first wrong digit stands. :param size: a multiple of eight.
    bint same_digits "engine_same_digits"(const char* a, const char* b, int size) noexcept nogil
