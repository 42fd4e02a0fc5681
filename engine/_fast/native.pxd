# C functions of libraries that this process has loaded already, so that neither headers nor a second copy are needed.

# What an extension module is, or has loaded; NULL where it cannot be imported or found.
cdef void* library_of(str module) except? NULL

# NULL where the library has no such function, or is none.
cdef void* function_of(void* library, const char* name) noexcept nogil
