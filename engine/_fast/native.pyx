"""Finds libraries that Python's extension modules have loaded. Used at import only; the caller tests what it got."""

import importlib

cdef extern from "dlfcn.h" nogil:
    void* dlopen(const char* filename, int flags)
    void* dlsym(void* handle, const char* symbol)
    int RTLD_LAZY


cdef void* library_of(str module) except? NULL:
    try:
        found = importlib.import_module(module)
    except ImportError:
        return NULL
    # A module that is linked into Python has no file; its functions are the program's own.
    path = getattr(found, "__file__", None)
    encoded = path.encode() if path else None
    return dlopen(<const char*>encoded if encoded is not None else NULL, RTLD_LAZY)


cdef void* function_of(void* library, const char* name) noexcept nogil:
    return NULL if library == NULL else dlsym(library, name)
