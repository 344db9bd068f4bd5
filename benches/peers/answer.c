/* The least that a program behind a server can be: it greets and is gone.  Built
   with FREESTANDING it has no C library either, whose start costs as much as
   the server. */

#ifdef FREESTANDING

static long call(long number, long a, long b, long c)
{
  long result;

  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c)
                   : "rcx", "r11", "memory");
  return result;
}

void _start(void)
{
  call(1, 1, (long) "220 x\r\n", 7);
  call(60, 0, 0, 0);
}

#else

#include <unistd.h>

int main(void)
{
  return write(1, "220 x\r\n", 7) != 7;
}

#endif
