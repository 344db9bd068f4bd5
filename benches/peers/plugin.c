/* The least that a delay in a chain can be: waits argv[1] milliseconds, or $DELAY
   where that is set, for the client on descriptor 0 to talk, and becomes the program
   behind it.  One that talks is refused, so that it can read why. */

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const char refusal[] = "421 4.7.0 you talked before the greeting\r\n";

int main(int argc, char **argv)
{
  struct pollfd client = { 0, POLLIN, 0 };
  char buffer[8192];
  char *delay = getenv("DELAY");

  if (argc < 3) return 100;
  if (poll(&client, 1, atoi(delay ? delay : argv[1])) != 0) {
    if (recv(0, buffer, sizeof buffer, MSG_DONTWAIT) <= 0) return 0;
    if (write(1, refusal, sizeof refusal - 1) < 0) return 0;
    shutdown(1, SHUT_WR);
    while (poll(&client, 1, 1000) > 0 && read(0, buffer, sizeof buffer) > 0)
      ;
    return 0;
  }
  execvp(argv[2], argv + 2);
  return 111;
}
