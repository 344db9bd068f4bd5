/* The least that a forking server can be.  It binds a port of 127.0.0.1 and prints
   it.
     prefork exec N PROG      keeps N children in accept(2), each of which becomes
                              PROG for its first client;
     prefork vfork N PROG     has N children, each of which makes a process that
                              shares its memory, is its sibling and becomes PROG,
                              and returns; no process waits for PROG's end;
     prefork accept N MILLIS  keeps N children that wait for their client to talk,
                              refuse it if it does and leave it alone if not, and
                              come back;
     prefork fork 0 MILLIS    forks a child a client, which does the same, and
                              ends.
   With the first two a client of 127.6.0.0/16 is left alone until it talks or
   leaves. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static const char refusal[] = "421 4.7.0 you talked before the greeting\r\n";

enum { EXEC, VFORK, ACCEPT, FORK };
static const char *const kinds[] = { "exec", "vfork", "accept", "fork" };

static void become(int client, char **argv)
{
  dup2(client, 0);
  dup2(client, 1);
  close(client);
  execv(argv[3], argv + 3);
  _exit(111);
}

static void serve(int client, int patience)
{
  struct pollfd poller = { client, POLLIN, 0 };
  /* Not on the stack, whose pages are a waiting child's own. */
  static char buffer[8192];

  if (poll(&poller, 1, patience) <= 0) return;
  if (recv(client, buffer, sizeof buffer, MSG_DONTWAIT) <= 0) return;
  if (send(client, refusal, sizeof refusal - 1, MSG_NOSIGNAL) < 0) return;
  shutdown(client, SHUT_WR);
  while (poll(&poller, 1, 1000) > 0 && read(client, buffer, sizeof buffer) > 0)
    ;
}

struct session { int client; char **argv; };

static int run_session(void *session)
{
  become(((struct session *) session)->client, ((struct session *) session)->argv);
  return 111;
}

static void spawn(int client, char **argv)
{
  static char stack[16384] __attribute__((aligned(16)));
  struct session session = { client, argv };
  int flags = CLONE_VM | CLONE_VFORK | CLONE_PARENT | SIGCHLD;

  if (clone(run_session, stack + sizeof stack, flags, &session) < 0) _exit(111);
}

static int is_held(const struct sockaddr_in *peer)
{
  return ntohl(peer->sin_addr.s_addr) >> 16 == (127 << 8 | 6);
}

static void child(int listener, int kind, char **argv)
{
  for (;;) {
    struct sockaddr_in peer;
    socklen_t length = sizeof peer;
    int client = accept(listener, (struct sockaddr *) &peer, &length);
    if (client < 0) _exit(111);
    if (kind == ACCEPT) serve(client, atoi(argv[3]));
    else if (is_held(&peer)) serve(client, -1);
    else if (kind == EXEC) become(client, argv);
    else spawn(client, argv);
    close(client);
  }
}

static void fork_for_each(int listener, int patience)
{
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    int client = accept(listener, 0, 0);
    if (client >= 0 && fork() == 0) {
      serve(client, patience);
      _exit(0);
    }
    close(client);
  }
}

int main(int argc, char **argv)
{
  struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
  socklen_t length = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  int kind = 0, missing;

  if (argc < 4) return 100;
  while (strcmp(argv[1], kinds[kind]))
    if (++kind > FORK) return 100;
  if (bind(listener, (struct sockaddr *) &address, sizeof address) < 0) return 111;
  if (listen(listener, 1024) < 0) return 111;
  getsockname(listener, (struct sockaddr *) &address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  if (kind == FORK) fork_for_each(listener, atoi(argv[3]));
  if (kind == VFORK) signal(SIGCHLD, SIG_IGN);
  for (missing = atoi(argv[2]);; missing = 1) {
    while (missing--)
      if (fork() == 0) child(listener, kind, argv);
    /* Even a wait in vain walks past all children. */
    while (kind == VFORK) pause();
    if (waitpid(-1, 0, 0) < 0) return 111;
  }
}
