/* The least that a delay in a chain can be: waits argv[1] milliseconds for the
   client on descriptor 0 to talk, and becomes the program behind it. */

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
  struct pollfd client = { 0, POLLIN, 0 };

  if (argc < 3) return 100;
  if (poll(&client, 1, atoi(argv[1])) != 0) return 0;
  execvp(argv[2], argv + 2);
  return 111;
}
