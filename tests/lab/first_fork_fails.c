/* For LD_PRELOAD: the first fork of a program fails, as it does at a limit of processes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

pid_t _Fork(void)
{
    static int has_failed;
    pid_t (*next)(void) = (pid_t (*)(void)) dlsym(RTLD_NEXT, "_Fork");

    if (!has_failed) {
        has_failed = 1;
        errno = EAGAIN;
        return -1;
    }
    return next();
}
